// go-naive: the order view as it is often written first (req 2.1).
//
// One goroutine per downstream, results over a channel made for each request, untyped maps, one
// uniform timeout, blind retries, a fresh log line per request straight to the file. Nothing is
// bounded. It is here so that its price can be seen beside the governed services.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"time"
)

const attempts = 3

type result struct {
	name string
	data map[string]any
	err  error
}

var (
	names  = []string{"order", "user", "inventory", "coupon", "recommend"}
	paths  = []string{"orders", "users", "inventory", "coupons", "recommend"}
	client = &http.Client{Timeout: time.Second, Transport: transport()}
)

// transport keeps connections alive: without it the peer would measure TCP handshakes.
func transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns = 2048
	t.MaxIdleConnsPerHost = 512
	return t
}

// allowed lists what each part may show; a nil value keeps everything below the key.
var allowed = map[string]map[string][]string{
	"order": {"id": nil, "user_id": nil, "status": nil, "currency": nil, "total": nil,
		"created_at": nil, "items": {"sku", "name", "quantity", "price"}, "shipping": nil},
	"user": {"id": nil, "name": nil, "email": nil, "tier": nil, "locale": nil,
		"member_since": nil, "address": nil},
	"inventory": {"order_id": nil, "warehouse": nil, "lines": {"sku", "available", "reserved"}},
	"coupon":    {"code": nil, "percent": nil, "expires_at": nil, "conditions": nil},
	"recommend": {"items": nil},
}

func project(name string, data map[string]any) map[string]any {
	out := map[string]any{}
	for key, inner := range allowed[name] {
		value, there := data[key]
		if !there {
			continue
		}
		list, isList := value.([]any)
		if inner == nil || !isList {
			out[key] = value
			continue
		}
		kept := []any{}
		for _, element := range list {
			from, _ := element.(map[string]any)
			to := map[string]any{}
			for _, field := range inner {
				to[field] = from[field]
			}
			kept = append(kept, to)
		}
		out[key] = kept
	}
	return out
}

func fetch(url string) (map[string]any, error) {
	var last error
	for range attempts {
		response, err := client.Get(url)
		if err != nil {
			last = err
			continue
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			last = err
			continue
		}
		if response.StatusCode != http.StatusOK {
			last = fmt.Errorf("%s answered %d", url, response.StatusCode)
			continue
		}
		var data map[string]any
		if err := json.Unmarshal(body, &data); err != nil {
			last = err
			continue
		}
		return data, nil
	}
	return nil, last
}

func view(bases []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		results := make(chan result, len(names))
		for i, name := range names {
			go func() {
				data, err := fetch(fmt.Sprintf("%s/%s/%s", bases[i], paths[i], id))
				results <- result{name, data, err}
			}()
		}
		reply := map[string]any{}
		degraded := []string{}
		for range names {
			part := <-results
			if part.err != nil {
				reply[part.name] = nil
				degraded = append(degraded, part.name)
				continue
			}
			reply[part.name] = project(part.name, part.data)
		}
		requestID := r.Header.Get("X-Request-Id")
		if requestID == "" {
			requestID = fmt.Sprintf("%016x", rand.Uint64())
		}
		reply["degraded"] = degraded
		reply["request_id"] = requestID
		reply["served_at_ms"] = time.Now().UnixMilli()
		body, err := json.Marshal(reply)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
		log.Printf("%s %s %s", r.Method, r.URL.Path, requestID)
	}
}

func main() {
	bases := strings.Split(os.Getenv("UPSTREAMS"), ",")
	if os.Getenv("PORT") == "" || len(bases) != len(names) {
		log.Fatal("set PORT and UPSTREAMS (five addresses)")
	}
	if path := os.Getenv("ACCESS_LOG"); path != "" {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			log.Fatal(err)
		}
		log.SetOutput(file)
	}
	http.HandleFunc("GET /api/orders/{id}", view(bases))
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
