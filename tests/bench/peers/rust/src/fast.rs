// SPDX-License-Identifier: Apache-2.0

//! fastrace: a reporter that drops.

use crate::{Tracing, EXPORTED};
use fastrace::collector::{Config, Reporter};
use fastrace::prelude::*;
use std::borrow::Cow;
use std::hint::black_box;
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

/// The same as everywhere; of text alone, so that a number has to be written out.
fn properties() -> [(&'static str, Cow<'static, str>); 5] {
    [
        ("http.request.method", "GET".into()),
        ("http.route", "/api/v1/shops/{shop}".into()),
        ("server.address", "orders.shop.example".into()),
        ("http.response.status_code", black_box(200).to_string().into()),
        ("cached", if black_box(true) { "true" } else { "false" }.into()),
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
