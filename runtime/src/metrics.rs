//! The registry that all modules register their metrics in, and what a process tells about itself.

use std::fmt;
use std::sync::Arc;

use argosy_core::time::WallTime;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// Metrics of the whole process, encoded as `OpenMetrics` text on request.
#[derive(Clone, Default)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

/// What the kernel says about this process, read at each scrape.
#[derive(Debug)]
struct ProcessCollector {
    started: WallTime,
    page_size: usize,
}

// === impl Metrics ===

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Makes a registry with the metrics of a process that started at `started` and calls itself `version`.
    pub fn of_process(program: &'static str, version: &'static str, started: WallTime) -> Self {
        let metrics = Self::default();
        metrics.register(|registry| {
            registry.register(
                "argosy_build",
                "Program and version of this process",
                Info::new([("program", program), ("version", version)]),
            );
            registry.register_collector(Box::new(ProcessCollector {
                started,
                page_size: rustix::param::page_size(),
            }));
        });
        metrics
    }

    /// Lets a module register its metrics; `register` gets the registry for as long as it runs.
    pub fn register<T>(&self, register: impl FnOnce(&mut Registry) -> T) -> T {
        register(&mut self.registry.lock())
    }

    /// Encodes everything as `OpenMetrics` text.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry.lock())?;
        Ok(text)
    }
}

// === impl ProcessCollector ===

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: i64| {
            let gauge = ConstGauge::new(value);
            let encoder = encoder.encode_descriptor(name, help, unit, gauge_type())?;
            gauge.encode(encoder)
        };
        gauge("process_start_time", "Start of this process", Some(&Unit::Seconds), self.started.0 / 1000)?;
        // A value that the kernel does not give is left out: zero would be a statement.
        if let Some(bytes) = resident_bytes(self.page_size) {
            gauge("process_resident_memory", "Memory of this process in use", Some(&Unit::Bytes), bytes)?;
        }
        if let Some(count) = entries("/proc/self/fd") {
            // Counting opens one more.
            gauge("process_open_fds", "Open file descriptors", None, count.saturating_sub(1))?;
        }
        if let Some(count) = entries("/proc/self/task") {
            gauge("process_threads", "Threads", None, count)?;
        }
        Ok(())
    }
}

fn gauge_type() -> prometheus_client::metrics::MetricType {
    prometheus_client::metrics::MetricType::Gauge
}

/// Gives the resident set of this process, in bytes; `None` where the kernel does not tell.
pub fn resident_memory() -> Option<u64> {
    resident_bytes(rustix::param::page_size()).and_then(|bytes| u64::try_from(bytes).ok())
}

fn resident_bytes(page_size: usize) -> Option<i64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(i64::try_from(page_size).ok()?)
}

fn entries(directory: &str) -> Option<i64> {
    i64::try_from(std::fs::read_dir(directory).ok()?.count()).ok()
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn a_process_tells_its_memory_start_and_version_as_open_metrics() {
        let metrics = Metrics::of_process("argosy-test", "1.2.3", WallTime(1_700_000_000_000));
        let frames = metrics.register(|registry| {
            let frames = Counter::<u64>::default();
            registry.register("argosy_link_frames", "Frames", frames.clone());
            frames
        });
        frames.inc();
        let text = metrics.encode().unwrap();
        for line in [
            "process_start_time_seconds 1700000000",
            "# UNIT process_resident_memory_bytes bytes",
            "process_open_fds ",
            "process_threads ",
            "argosy_build_info{program=\"argosy-test\",version=\"1.2.3\"} 1",
            "argosy_link_frames_total 1",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(resident_memory().is_some_and(|bytes| bytes > 1 << 20));
    }
}
