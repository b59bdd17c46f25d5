package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	bulkhead     = 400
	maxBody      = 4 << 20
	pooledBuffer = 64 << 10
)

var callTimeout = milliseconds("CALL_TIMEOUT_MS", 100)

var errBulkheadFull = errors.New("bulkhead full")

// statusError is a failure the downstream itself reported.
type statusError struct{ code int }

func (e statusError) Error() string { return fmt.Sprintf("downstream answered %d", e.code) }

// retryBudget allows retries for at most a tenth of recent calls (a token bucket in tenths).
type retryBudget struct{ tenths atomic.Int64 }

func (b *retryBudget) deposit() {
	if b.tenths.Load() < 1000 {
		b.tenths.Add(1)
	}
}

func (b *retryBudget) spend() bool {
	if b.tenths.Add(-10) >= 0 {
		return true
	}
	b.tenths.Add(10)
	return false
}

// Downstream owns everything one dependency is allowed: connections, concurrency, time, retries.
type Downstream struct {
	name    string
	base    string
	client  *http.Client
	slots   chan struct{}
	budget  retryBudget
	ok      prometheus.Counter
	failed  prometheus.Counter
	seconds prometheus.Observer
}

func newDownstream(name, base string, metrics *Metrics) *Downstream {
	transport := &http.Transport{
		MaxIdleConns:          1024,
		MaxIdleConnsPerHost:   bulkhead,
		MaxConnsPerHost:       bulkhead,
		IdleConnTimeout:       60 * time.Second,
		ResponseHeaderTimeout: callTimeout,
		DisableCompression:    true,
		ForceAttemptHTTP2:     false,
	}
	return &Downstream{
		name:    name,
		base:    base,
		client:  &http.Client{Transport: transport, CheckRedirect: noRedirect},
		slots:   make(chan struct{}, bulkhead),
		ok:      metrics.calls.WithLabelValues(name, "ok"),
		failed:  metrics.calls.WithLabelValues(name, "failed"),
		seconds: metrics.callSeconds.WithLabelValues(name),
	}
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

var buffers = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, 4096)) }}

func putBuffer(buffer *bytes.Buffer) {
	if buffer.Cap() <= pooledBuffer { // one huge answer must not stay pinned for ever
		buffer.Reset()
		buffers.Put(buffer)
	}
}

// Get performs one governed call and decodes the answer into target.
func (d *Downstream) Get(ctx context.Context, path, id string, target any) error {
	select {
	case d.slots <- struct{}{}:
	default:
		select {
		case d.slots <- struct{}{}:
		case <-ctx.Done():
			return errBulkheadFull
		}
	}
	defer func() { <-d.slots }()

	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	d.budget.deposit()
	err := d.attempt(ctx, path, id, target)
	if err != nil && retryable(ctx, err) && d.budget.spend() {
		err = d.attempt(ctx, path, id, target)
	}
	d.seconds.Observe(time.Since(start).Seconds())
	if err != nil {
		d.failed.Inc()
		return fmt.Errorf("%s: %w", d.name, err)
	}
	d.ok.Inc()
	return nil
}

func retryable(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	var status statusError
	return !errors.As(err, &status) || status.code >= 500
}

func (d *Downstream) attempt(ctx context.Context, path, id string, target any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet,
		d.base+path+url.PathEscape(id), http.NoBody)
	if err != nil {
		return err
	}
	response, err := d.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	buffer := buffers.Get().(*bytes.Buffer)
	defer putBuffer(buffer)
	if _, err := buffer.ReadFrom(io.LimitReader(response.Body, maxBody)); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return statusError{response.StatusCode}
	}
	return json.Unmarshal(buffer.Bytes(), target)
}
