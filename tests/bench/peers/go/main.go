// SPDX-License-Identifier: Apache-2.0

// caller CASE THREADS SPANS BURST: ../../caller.c with opentelemetry-go.
package main

import (
	"context"
	"encoding/json"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	queue            = 16384
	threadCPUTimeID  = 3 // CLOCK_THREAD_CPUTIME_ID
	nanosPerSecond   = 1000 * 1000 * 1000
	warmUpOneIn      = 10
	argumentsOfMain  = 5
	exitStatusOfMain = 2
)

type drop struct{ spans atomic.Int64 }

func (d *drop) ExportSpans(_ context.Context, spans []sdk.ReadOnlySpan) error {
	d.spans.Add(int64(len(spans)))
	return nil
}

func (d *drop) Shutdown(context.Context) error { return nil }

func threadCPU() int64 {
	var now syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, threadCPUTimeID,
		uintptr(unsafe.Pointer(&now)), 0)
	return now.Sec*nanosPerSecond + now.Nsec
}

func number(i int) int {
	n, err := strconv.Atoi(os.Args[i])
	if err != nil {
		panic(err)
	}
	return n
}

func main() {
	if len(os.Args) != argumentsOfMain {
		os.Exit(exitStatusOfMain)
	}
	name, nThreads, nSpans, nBurst := os.Args[1], number(2), number(3), number(4)
	exporter := &drop{}
	sampler := sdk.AlwaysSample()
	if name == "unsampled" {
		sampler = sdk.NeverSample()
	}
	provider := sdk.NewTracerProvider(sdk.WithSampler(sampler),
		sdk.WithBatcher(exporter, sdk.WithMaxQueueSize(queue)))
	tracer := provider.Tracer("bench")
	parent, _ := tracer.Start(context.Background(), "parent")
	one := map[string]func(){
		"span0": func() {
			_, span := tracer.Start(parent, "operation")
			span.End()
		},
		"span5": func() {
			_, span := tracer.Start(parent, "operation", trace.WithAttributes(
				attribute.String("http.request.method", "GET"),
				attribute.String("http.route", "/api/v1/shops/{shop}"),
				attribute.String("server.address", "orders.shop.example"),
				attribute.Int("http.response.status_code", 200),
				attribute.Bool("cached", true)))
			span.End()
		},
		"request": func() {
			_, span := tracer.Start(context.Background(), "operation",
				trace.WithSpanKind(trace.SpanKindServer))
			span.End()
		},
	}
	one["unsampled"] = one["span0"]
	var cpu, measured, made atomic.Int64
	var threads sync.WaitGroup
	for range nThreads {
		threads.Add(1)
		go func() {
			defer threads.Done()
			runtime.LockOSThread()
			say, share := one[name], nSpans/nThreads
			for n := 0; n < share+share/warmUpOneIn; n += nBurst {
				begin := threadCPU()
				for range nBurst {
					say()
				}
				if n >= share/warmUpOneIn {
					cpu.Add(threadCPU() - begin)
					measured.Add(int64(nBurst))
				}
				made.Add(int64(nBurst))
				provider.ForceFlush(context.Background())
			}
		}()
	}
	threads.Wait()
	dropped := made.Load() - exporter.spans.Load()
	if name == "unsampled" {
		dropped = 0
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"ns": float64(cpu.Load()) / float64(measured.Load()), "made": made.Load(),
		"dropped": dropped})
}
