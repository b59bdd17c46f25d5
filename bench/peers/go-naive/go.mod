module tailrace.bench/gonaive

go 1.25
