// go-governed: the order view as a careful Go team writes it, on net/http.
//
// Strong and weak dependencies, one deadline per request, a timeout, bulkhead and retry budget per
// downstream, bounded fan-out that stops at the first strong failure, pooled buffers, typed models,
// Prometheus metrics and one structured log line per request through a buffered writer. A second
// route needs three of the five downstreams, so that a hang of one of the others can be seen there.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
)

const (
	maxInFlight = 2000
	fanout      = 8
)

var requestDeadline = milliseconds("DEADLINE_MS", 150)

// milliseconds reads a limit that a benchmark may set; the default is the service's own.
func milliseconds(name string, usual int) time.Duration {
	if text := os.Getenv(name); text != "" {
		given, err := strconv.Atoi(text)
		if err != nil || given < 1 {
			log.Fatalf("%s is a whole number of milliseconds, not %q", name, text)
		}
		usual = given
	}
	return time.Duration(usual) * time.Millisecond
}

// Metrics are resolved once; a request only touches counters it already holds.
type Metrics struct {
	calls       *prometheus.CounterVec
	callSeconds *prometheus.HistogramVec
	requests    *prometheus.CounterVec
	seconds     prometheus.Histogram
	degraded    *prometheus.CounterVec
	inFlight    prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) *Metrics {
	buckets := []float64{.001, .0025, .005, .0075, .01, .025, .05, .1, .15, .25}
	metrics := &Metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "downstream_calls_total"}, []string{"downstream", "outcome"}),
		callSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "downstream_call_seconds", Buckets: buckets}, []string{"downstream"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "requests_total"}, []string{"status"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "request_seconds", Buckets: buckets}),
		degraded: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "degraded_parts_total"}, []string{"part"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "requests_in_flight"}),
	}
	registry.MustRegister(metrics.calls, metrics.callSeconds, metrics.requests, metrics.seconds,
		metrics.degraded, metrics.inFlight)
	return metrics
}

type service struct {
	orders, users, inventory, coupons, recommend *Downstream

	admitted chan struct{}
	metrics  *Metrics
	served   prometheus.Counter
	log      *slog.Logger
}

// reply answers one request whose id is known, and returns the status.
type reply func(w http.ResponseWriter, r *http.Request, requestID string) int

// governed wraps a view in admission, metrics and the access log.
func (s *service) governed(view reply) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { s.serve(view, w, r) }
}

func (s *service) serve(view reply, w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	requestID := r.Header.Get("X-Request-Id")
	if requestID == "" {
		requestID = strconv.FormatUint(rand.Uint64(), 16)
	}
	status := http.StatusServiceUnavailable
	select {
	case s.admitted <- struct{}{}:
		s.metrics.inFlight.Inc()
		status = view(w, r, requestID)
		s.metrics.inFlight.Dec()
		<-s.admitted
	default:
		problem(w, status, requestID)
	}
	took := time.Since(start)
	s.metrics.seconds.Observe(took.Seconds())
	if status == http.StatusOK {
		s.served.Inc()
	} else {
		s.metrics.requests.WithLabelValues(strconv.Itoa(status)).Inc()
	}
	s.log.LogAttrs(r.Context(), slog.LevelInfo, "request",
		slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", status), slog.Duration("took", took),
		slog.String("request_id", requestID))
}

// buyer is the second view: nothing of it touches inventory or recommendations.
func (s *service) buyer(w http.ResponseWriter, r *http.Request, requestID string) int {
	id := r.PathValue("id")
	ctx, cancel := context.WithTimeout(r.Context(), requestDeadline)
	defer cancel()
	view := BuyerView{Degraded: []string{}, RequestID: requestID}
	var coupon Coupon
	var couponErr error

	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fanout)
	group.Go(func() error { return s.orders.Get(ctx, "/orders/", id, &view.Order) })
	group.Go(func() error { return s.users.Get(ctx, "/users/", id, &view.User) })
	group.Go(func() error {
		couponErr = s.coupons.Get(ctx, "/coupons/", id, &coupon)
		return nil
	})
	if err := group.Wait(); err != nil {
		return s.fail(w, err, requestID)
	}
	if couponErr == nil {
		view.Coupon = &coupon
	} else {
		view.Degraded = append(view.Degraded, "coupon")
		s.metrics.degraded.WithLabelValues("coupon").Inc()
	}
	view.ServedAtMS = time.Now().UnixMilli()
	return write(w, &view, requestID)
}

// aggregate runs the five calls and writes the reply. Each call has its own slot: no channel and
// no lock.
func (s *service) aggregate(w http.ResponseWriter, r *http.Request, requestID string) int {
	id := r.PathValue("id")
	ctx, cancel := context.WithTimeout(r.Context(), requestDeadline)
	defer cancel()
	var view View
	var coupon Coupon
	var couponErr, recommendErr error

	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fanout)
	group.Go(func() error { return s.orders.Get(ctx, "/orders/", id, &view.Order) })
	group.Go(func() error { return s.users.Get(ctx, "/users/", id, &view.User) })
	group.Go(func() error { return s.inventory.Get(ctx, "/inventory/", id, &view.Inventory) })
	group.Go(func() error {
		couponErr = s.coupons.Get(ctx, "/coupons/", id, &coupon)
		return nil
	})
	group.Go(func() error {
		recommendErr = s.recommend.Get(ctx, "/recommend/", id, &view.Recommend)
		return nil
	})
	if err := group.Wait(); err != nil {
		return s.fail(w, err, requestID)
	}

	view.Degraded = []string{}
	if couponErr == nil {
		view.Coupon = &coupon
	} else {
		view.Degraded = append(view.Degraded, "coupon")
		s.metrics.degraded.WithLabelValues("coupon").Inc()
	}
	if recommendErr != nil {
		view.Recommend = Recommend{Items: []Suggestion{}}
		view.Degraded = append(view.Degraded, "recommend")
		s.metrics.degraded.WithLabelValues("recommend").Inc()
	}
	view.RequestID = requestID
	view.ServedAtMS = time.Now().UnixMilli()
	return write(w, &view, requestID)
}

func write(w http.ResponseWriter, view any, requestID string) int {
	buffer := buffers.Get().(*bytes.Buffer)
	defer putBuffer(buffer)
	encoder := json.NewEncoder(buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(view); err != nil {
		problem(w, http.StatusInternalServerError, requestID)
		return http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(buffer.Len()))
	_, _ = w.Write(buffer.Bytes())
	return http.StatusOK
}

func (s *service) fail(w http.ResponseWriter, err error, requestID string) int {
	status := http.StatusBadGateway
	var answered statusError
	switch {
	case errors.As(err, &answered) && answered.code == http.StatusNotFound:
		status = http.StatusNotFound
	case errors.Is(err, errBulkheadFull):
		status = http.StatusServiceUnavailable
	case errors.Is(err, context.DeadlineExceeded):
		status = http.StatusGatewayTimeout
	}
	problem(w, status, requestID)
	return status
}

func problem(w http.ResponseWriter, status int, requestID string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status,
		"title": http.StatusText(status), "request_id": requestID})
}

func main() {
	bases := strings.Split(os.Getenv("UPSTREAMS"), ",")
	if os.Getenv("PORT") == "" || len(bases) != 5 {
		log.Fatal("set PORT and UPSTREAMS (five addresses)")
	}
	registry := prometheus.NewRegistry()
	metrics := newMetrics(registry)
	sink, err := newLogSink(os.Getenv("ACCESS_LOG"))
	if err != nil {
		log.Fatal(err)
	}
	s := &service{
		orders:    newDownstream("orders", bases[0], metrics),
		users:     newDownstream("users", bases[1], metrics),
		inventory: newDownstream("inventory", bases[2], metrics),
		coupons:   newDownstream("coupons", bases[3], metrics),
		recommend: newDownstream("recommend", bases[4], metrics),
		admitted:  make(chan struct{}, maxInFlight),
		metrics:   metrics,
		served:    metrics.requests.WithLabelValues("200"),
		log:       slog.New(slog.NewJSONHandler(sink, nil)),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/orders/{id}", s.governed(s.aggregate))
	mux.HandleFunc("GET /api/buyers/{id}", s.governed(s.buyer))
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	run(server, listener)
	_ = sink.Close()
}

// run serves until SIGTERM, then lets what is in flight finish.
func run(server *http.Server, listener net.Listener) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		log.Fatal(err)
	case <-ctx.Done():
	}
	draining, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = server.Shutdown(draining)
}
