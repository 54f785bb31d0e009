// SPDX-License-Identifier: Apache-2.0

//! caller LIBRARY CASE THREADS SPANS BURST: ../../caller.c with opentelemetry-rust and fastrace.

mod fast;
mod otel;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

pub static EXPORTED: AtomicU64 = AtomicU64::new(0);

/// A library: what one span is, and what empties its queue.
pub trait Tracing: Send + Sync {
    /// Runs on a thread of its own; calls `burst` with what makes one span.
    fn run(&self, case: &str, burst: &mut dyn FnMut(&mut dyn FnMut()));
    fn flush(&self);
}

fn cpu_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

struct Sums {
    cpu_ns: u64,
    measured: u64,
    made: u64,
}

fn thread(tracing: &dyn Tracing, case: &str, spans: u64, burst: u64) -> Sums {
    let mut sums = Sums { cpu_ns: 0, measured: 0, made: 0 };
    while sums.made < spans + spans / 10 {
        tracing.run(case, &mut |one| {
            let begin = cpu_ns();
            for _ in 0..burst {
                one();
            }
            if sums.made >= spans / 10 {
                sums.cpu_ns += cpu_ns() - begin;
                sums.measured += burst;
            }
            sums.made += burst;
        });
        tracing.flush();
    }
    sums
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, case, threads, spans, burst] = &arguments[..] else {
        panic!("usage: caller LIBRARY CASE THREADS SPANS BURST");
    };
    let n_threads: u64 = threads.parse().unwrap();
    let spans: u64 = spans.parse().unwrap();
    let burst: u64 = burst.parse().unwrap();
    let tracing: Arc<dyn Tracing> = match library.as_str() {
        "opentelemetry" => Arc::new(otel::Otel::new(case)),
        "fastrace" => Arc::new(fast::Fast::new()),
        _ => panic!("no such library: {library}"),
    };
    let threads: Vec<_> = (0..n_threads)
        .map(|_| {
            let (tracing, case) = (tracing.clone(), case.clone());
            std::thread::spawn(move || thread(&*tracing, &case, spans / n_threads, burst))
        })
        .collect();
    let (mut cpu_ns, mut measured, mut made) = (0, 0, 0);
    for thread in threads {
        let sums = thread.join().unwrap();
        cpu_ns += sums.cpu_ns;
        measured += sums.measured;
        made += sums.made;
    }
    let exported = if case == "unsampled" { made } else { EXPORTED.load(Ordering::SeqCst) };
    println!(
        "{{\"ns\":{:.1},\"made\":{},\"dropped\":{}}}",
        cpu_ns as f64 / measured as f64,
        made,
        made.saturating_sub(exported)
    );
}
