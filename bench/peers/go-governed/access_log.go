package main

import (
	"bufio"
	"io"
	"os"
	"sync"
	"time"
)

// logSink writes log lines through one buffer that is flushed off the request path.
type logSink struct {
	mu     sync.Mutex
	buffer *bufio.Writer
	file   io.WriteCloser
}

func newLogSink(path string) (*logSink, error) {
	if path == "" {
		path = os.DevNull
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	sink := &logSink{buffer: bufio.NewWriterSize(file, 64<<10), file: file}
	go func() {
		for range time.Tick(200 * time.Millisecond) {
			sink.mu.Lock()
			_ = sink.buffer.Flush()
			sink.mu.Unlock()
		}
	}()
	return sink, nil
}

func (s *logSink) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buffer.Write(line)
}

func (s *logSink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.buffer.Flush()
	return s.file.Close()
}
