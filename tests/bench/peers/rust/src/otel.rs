// SPDX-License-Identifier: Apache-2.0

//! opentelemetry-rust: a batch processor, and an exporter that drops.

use crate::{Tracing, EXPORTED};
use opentelemetry::trace::{Span, SpanKind, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanData,
    SpanExporter,
};
use std::sync::atomic::Ordering;

const QUEUE: usize = 16384;

#[derive(Debug)]
struct Drop;

impl SpanExporter for Drop {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        EXPORTED.fetch_add(batch.len() as u64, Ordering::SeqCst);
        Ok(())
    }
}

pub struct Otel {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    parent: Context,
}

impl Otel {
    pub fn new(case: &str) -> Self {
        let config = BatchConfigBuilder::default().with_max_queue_size(QUEUE).build();
        let processor = BatchSpanProcessor::builder(Drop).with_batch_config(config).build();
        let sampler =
            if case == "unsampled" { Sampler::AlwaysOff } else { Sampler::AlwaysOn };
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_span_processor(processor)
            .build();
        let tracer = provider.tracer("bench");
        let parent = Context::new().with_span(tracer.start_with_context("parent", &Context::new()));
        Self { provider, tracer, parent }
    }
}

impl Tracing for Otel {
    fn run(&self, case: &str, burst: &mut dyn FnMut(&mut dyn FnMut())) {
        match case {
            "span0" | "unsampled" => burst(&mut || {
                self.tracer.start_with_context("operation", &self.parent).end();
            }),
            "span5" => burst(&mut || {
                self.tracer
                    .span_builder("operation")
                    .with_attributes([
                        KeyValue::new("http.request.method", "GET"),
                        KeyValue::new("http.route", "/api/v1/shops/{shop}"),
                        KeyValue::new("server.address", "orders.shop.example"),
                        KeyValue::new("http.response.status_code", 200),
                        KeyValue::new("cached", true),
                    ])
                    .start_with_context(&self.tracer, &self.parent)
                    .end();
            }),
            "request" => burst(&mut || {
                let span = self
                    .tracer
                    .span_builder("operation")
                    .with_kind(SpanKind::Server)
                    .start_with_context(&self.tracer, &Context::new());
                let context = Context::new().with_span(span);
                let _guard = context.clone().attach();
                context.span().end();
            }),
            _ => panic!("no such case: {case}"),
        }
    }

    fn flush(&self) {
        let _ = self.provider.force_flush();
    }
}
