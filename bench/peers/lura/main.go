// lura: the order view as configuration of Lura 2.14.1, the engine of KrakenD.
//
// Five backends merged in parallel, projection by Lura's own allow lists, and by its flatmap filter
// where a field sits inside a list (allow lists do not reach there). One small proxy middleware
// adds the envelope, which configuration cannot. No access log, no metrics: the engine alone.
package main

import (
	"context"
	_ "embed"
	"errors"
	"log"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/luraproject/lura/v2/config"
	"github.com/luraproject/lura/v2/logging"
	"github.com/luraproject/lura/v2/proxy"
	lura "github.com/luraproject/lura/v2/router/gin"
	"github.com/luraproject/lura/v2/transport/http/server"
)

//go:embed lura.json
var document string

var (
	upstreams = []string{"orders", "users", "inventory", "coupons", "recommend"}
	strong    = map[string]bool{"order": true, "user": true, "inventory": true}
)

var errStrongPart = errors.New("a strong part is missing")

// envelope adds what the reply says beside the parts, and fails the reply when a strong part is
// missing, because Lura itself knows no strong parts.
func envelope(next proxy.Factory) proxy.Factory {
	return proxy.FactoryFunc(func(cfg *config.EndpointConfig) (proxy.Proxy, error) {
		inner, err := next.New(cfg)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, request *proxy.Request) (*proxy.Response, error) {
			response, err := inner(ctx, request)
			if response == nil {
				return response, err
			}
			degraded := []string{}
			for _, backend := range cfg.Backend {
				if _, there := response.Data[backend.Group]; !there {
					if strong[backend.Group] {
						return nil, errStrongPart
					}
					degraded = append(degraded, backend.Group)
				}
			}
			requestID := ""
			if sent := request.Headers["X-Request-Id"]; len(sent) > 0 {
				requestID = sent[0]
			}
			if requestID == "" {
				requestID = strconv.FormatUint(rand.Uint64(), 16)
			}
			response.Data["degraded"] = degraded
			response.Data["request_id"] = requestID
			response.Data["served_at_ms"] = time.Now().UnixMilli()
			return response, err
		}, nil
	})
}

func main() {
	port, err := strconv.Atoi(os.Getenv("PORT"))
	bases := strings.Split(os.Getenv("UPSTREAMS"), ",")
	if err != nil || len(bases) != len(upstreams) {
		log.Fatal("set PORT and UPSTREAMS (five addresses)")
	}
	text := document
	for i, name := range upstreams {
		text = strings.ReplaceAll(text, "@"+name+"@", bases[i])
	}
	path := os.TempDir() + "/lura-" + strconv.Itoa(port) + ".json"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		log.Fatal(err)
	}
	service, err := config.NewParser().Parse(path)
	_ = os.Remove(path)
	if err != nil {
		log.Fatal(err)
	}
	service.Address = "127.0.0.1"
	service.Port = port
	for _, endpoint := range service.Endpoints {
		endpoint.HeadersToPass = []string{"X-Request-Id"}
	}
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.Use(gin.Recovery())
	factory := lura.NewFactory(lura.Config{
		Engine:         engine,
		HandlerFactory: lura.EndpointHandler,
		ProxyFactory:   envelope(proxy.DefaultFactory(logging.NoOp)),
		Logger:         logging.NoOp,
		RunServer:      server.RunServer,
	})
	factory.NewWithContext(context.Background()).Run(service)
}
