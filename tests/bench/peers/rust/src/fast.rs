// SPDX-License-Identifier: Apache-2.0

//! fastrace: a reporter that drops.

use crate::{Tracing, EXPORTED};
use fastrace::collector::{Config, Reporter};
use fastrace::prelude::*;
use std::sync::atomic::Ordering;

struct Drop;

impl Reporter for Drop {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        EXPORTED.fetch_add(spans.len() as u64, Ordering::SeqCst);
    }
}

pub struct Fast;

impl Fast {
    pub fn new() -> Self {
        fastrace::set_reporter(Drop, Config::default());
        Self
    }
}

fn properties() -> [(&'static str, &'static str); 5] {
    [
        ("http.request.method", "GET"),
        ("http.route", "/api/v1/shops/{shop}"),
        ("server.address", "orders.shop.example"),
        ("http.response.status_code", "200"),
        ("cached", "true"),
    ]
}

impl Tracing for Fast {
    fn run(&self, case: &str, burst: &mut dyn FnMut(&mut dyn FnMut())) {
        let sampled = case != "unsampled";
        let root = Span::root("parent", SpanContext::random().sampled(sampled));
        match case {
            "span0" | "unsampled" => burst(&mut || {
                drop(Span::enter_with_parent("operation", &root));
            }),
            "span5" => burst(&mut || {
                drop(Span::enter_with_parent("operation", &root).with_properties(properties));
            }),
            "request" => burst(&mut || {
                let span = Span::root("operation", SpanContext::random());
                let _guard = span.set_local_parent();
            }),
            _ => panic!("no such case: {case}"),
        }
    }

    fn flush(&self) {
        fastrace::flush();
    }
}
