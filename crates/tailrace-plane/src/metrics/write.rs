//! Metrics as text: OpenMetrics 1.0, or the older text of Prometheus.
//!
//! The failure prevented: a scrape that fails as a whole because one line is not what the reader
//! asked for. Both formats are written from the same numbers; they differ in the names of counters'
//! families, in units, exemplars and the end mark. Checked by Prometheus itself and by `promtool`
//! in `make test-real` (req 12.1).

use super::exemplars::Exemplar;
use super::histogram::{Merged, BOUNDS_S};
use crate::events::{Kind, Metric};
use std::fmt::Write;

/// What a reader can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    OpenMetrics,
    /// Prometheus' text 0.0.4, which everything reads.
    Text,
}

impl Format {
    /// The format that the `Accept` header likes most; text where it says nothing of either.
    pub fn asked(accept: Option<&[u8]>) -> Self {
        let accept = accept.and_then(|accept| std::str::from_utf8(accept).ok());
        let (mut open, mut text) = (0.0_f64, 0.0_f64);
        for one in accept.unwrap_or_default().split(',') {
            let mut parts = one.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            let weight = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
            match kind {
                "application/openmetrics-text" => open = open.max(weight),
                "text/plain" | "text/*" | "*/*" => text = text.max(weight),
                _ => {}
            }
        }
        if open > 0.0 && open >= text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

pub type Labels = Vec<(&'static str, String)>;
/// Numbers with their labels.
pub type Labelled<T> = Vec<(Labels, T)>;

/// One series of a histogram.
#[derive(Debug, Default)]
pub struct Distribution {
    pub merged: Merged,
    /// At most one per bucket, with the bucket's index.
    pub exemplars: Vec<(usize, Exemplar)>,
}

impl From<Merged> for Distribution {
    fn from(merged: Merged) -> Self {
        Self {
            merged,
            exemplars: Vec::new(),
        }
    }
}

/// The numbers of one metric.
#[derive(Debug)]
pub enum Series {
    Whole(Labelled<u64>),
    Real(Labelled<f64>),
    Distributions(Labelled<Distribution>),
}

/// One metric and its series.
#[derive(Debug)]
pub struct Family {
    pub metric: &'static Metric,
    pub series: Series,
}

impl Family {
    pub fn whole(metric: &'static Metric, series: Labelled<u64>) -> Self {
        let series = Series::Whole(series);
        Self { metric, series }
    }

    pub fn real(metric: &'static Metric, series: Labelled<f64>) -> Self {
        let series = Series::Real(series);
        Self { metric, series }
    }

    pub fn distributions<T: Into<Distribution>>(
        metric: &'static Metric,
        series: Labelled<T>,
    ) -> Self {
        let into = |(labels, one): (Labels, T)| (labels, one.into());
        let series = Series::Distributions(series.into_iter().map(into).collect());
        Self { metric, series }
    }

    /// How many series a reader of it keeps.
    pub fn len(&self) -> usize {
        match &self.series {
            Series::Whole(series) => series.len(),
            Series::Real(series) => series.len(),
            Series::Distributions(series) => series.len() * (BOUNDS_S.len() + 3),
        }
    }

    /// Leaves the last of its series out, as long as there are `over` too many: those that are
    /// zero, or any. What is left over.
    pub fn trim(&mut self, over: usize, zeros: bool) -> usize {
        fn trim<T>(
            series: &mut Labelled<T>,
            (over, each): (usize, usize),
            goes: impl Fn(&T) -> bool,
        ) -> usize {
            let mut left = over;
            for index in (0..series.len()).rev() {
                if left > 0 && goes(&series[index].1) {
                    series.remove(index);
                    left = left.saturating_sub(each);
                }
            }
            left
        }
        match &mut self.series {
            Series::Whole(series) => trim(series, (over, 1), |value| !zeros || *value == 0),
            Series::Real(series) => trim(series, (over, 1), |value| !zeros || *value == 0.0),
            Series::Distributions(series) => {
                let each = BOUNDS_S.len() + 3;
                let empty = |one: &Distribution| !zeros || one.merged.count() == 0;
                trim(series, (over, each), empty)
            }
        }
    }

    pub fn write(&self, format: Format, out: &mut String) {
        let name = self.metric.name;
        let counter = self.metric.kind == Kind::Counter;
        let total = if counter { "_total" } else { "" };
        // OpenMetrics names a counter's family without the end of its one series.
        let family = match format {
            Format::OpenMetrics => "",
            Format::Text => total,
        };
        let kind = match self.metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        push(out, &["# HELP ", name, family, " ", self.metric.help]);
        push(out, &["\n# TYPE ", name, family, " ", kind, "\n"]);
        if let (Format::OpenMetrics, (_, Some(unit))) = (format, self.metric.parts()) {
            push(out, &["# UNIT ", name, " ", unit, "\n"]);
        }
        match &self.series {
            Series::Whole(series) => {
                for (labels, value) in series {
                    let mut number = itoa::Buffer::new();
                    line(out, (name, total), &close(labels), number.format(*value));
                    out.push('\n');
                }
            }
            Series::Real(series) => {
                for (labels, value) in series {
                    line(out, (name, total), &close(labels), &value.to_string());
                    out.push('\n');
                }
            }
            Series::Distributions(series) => {
                for (labels, one) in series {
                    write_distribution(name, labels, one, format, out);
                }
            }
        }
    }
}

fn push(out: &mut String, texts: &[&str]) {
    for text in texts {
        out.push_str(text);
    }
}

fn line(out: &mut String, (name, end): (&str, &str), labels: &str, value: &str) {
    push(out, &[name, end, labels, " ", value]);
}

fn write_distribution(
    name: &str,
    labels: &Labels,
    one: &Distribution,
    format: Format,
    out: &mut String,
) {
    let mut number = itoa::Buffer::new();
    let mut open = open(labels);
    open.push(if labels.is_empty() { '{' } else { ',' });
    let bounds = BOUNDS_S.iter().map(|bound| format!("{bound:?}"));
    let bounds = bounds.chain(["+Inf".to_owned()]);
    let mut seen = 0;
    for (index, (bound, count)) in bounds.zip(one.merged.bounds).enumerate() {
        seen += count;
        push(out, &[name, "_bucket", &open, "le=\"", &bound, "\"} "]);
        out.push_str(number.format(seen));
        let exemplar = one.exemplars.iter().find(|(at, _)| *at == index);
        if let (Format::OpenMetrics, Some((_, exemplar))) = (format, exemplar) {
            write_exemplar(exemplar, out);
        }
        out.push('\n');
    }
    let closed = close(labels);
    line(
        out,
        (name, "_sum"),
        &closed,
        &one.merged.sum_s().to_string(),
    );
    out.push('\n');
    line(out, (name, "_count"), &closed, number.format(seen));
    out.push('\n');
}

fn write_exemplar(exemplar: &Exemplar, out: &mut String) {
    out.push_str(" # {request_id=\"");
    escape(exemplar.request_id(), out);
    let (seconds, at_ms) = (exemplar.seconds(), exemplar.epoch_ms);
    // A `String` takes everything.
    let _ = write!(out, "\"}} {seconds} {}.{:03}", at_ms / 1000, at_ms % 1000);
}

/// `{a="b",c="d"`, or nothing.
fn open(labels: &Labels) -> String {
    let mut text = String::new();
    for (index, (name, value)) in labels.iter().enumerate() {
        push(
            &mut text,
            &[if index == 0 { "{" } else { "," }, name, "=\""],
        );
        escape(value, &mut text);
        text.push('"');
    }
    text
}

fn close(labels: &Labels) -> String {
    let mut text = open(labels);
    if !labels.is_empty() {
        text.push('}');
    }
    text
}

/// RELIABILITY S04: no value ends its line or its quotes.
fn escape(value: &str, out: &mut String) {
    for char in value.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            char => out.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Distribution, Family, Format};
    use crate::events;
    use crate::metrics::exemplars::Exemplar;
    use crate::metrics::histogram::{Histogram, Merged};

    #[test]
    fn the_format_is_what_is_asked_for() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.75,\
            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, format) in [
            (None, Format::Text),
            (Some("*/*"), Format::Text),
            (Some("text/html, */*;q=0.8"), Format::Text),
            (Some(prometheus), Format::OpenMetrics),
            (Some("application/openmetrics-text; q=0"), Format::Text),
            (
                Some("application/openmetrics-text;q=0.1, text/plain"),
                Format::Text,
            ),
            (Some("application/openmetrics-text"), Format::OpenMetrics),
            (Some("application/openmetrics-text;q=x"), Format::Text),
        ] {
            let asked = Format::asked(accept.map(str::as_bytes));
            assert_eq!(asked, format, "{accept:?}");
        }
        assert_eq!(Format::asked(Some(b"\xff")), Format::Text);
    }

    fn written(family: &Family, format: Format) -> String {
        let mut out = String::new();
        family.write(format, &mut out);
        out
    }

    #[test]
    fn a_counter_is_named_as_each_format_wants() {
        let label = ("status", "a\"b\\c\nd".to_owned());
        let family = Family::whole(&events::UNMATCHED_REQUESTS, vec![(vec![label], 3)]);
        let series = "tailrace_unmatched_requests_total{status=\"a\\\"b\\\\c\\nd\"} 3\n";
        let help = "Requests that reached no view";
        assert_eq!(
            written(&family, Format::OpenMetrics),
            format!(
                "# HELP tailrace_unmatched_requests {help}\n\
                 # TYPE tailrace_unmatched_requests counter\n{series}"
            )
        );
        assert_eq!(
            written(&family, Format::Text),
            format!(
                "# HELP tailrace_unmatched_requests_total {help}\n\
                 # TYPE tailrace_unmatched_requests_total counter\n{series}"
            )
        );
    }

    #[test]
    fn a_histogram_ends_with_infinity_and_shows_exemplars_to_who_can_read_them() {
        let histogram = Histogram::default();
        histogram.record(2_000_000);
        histogram.record(20_000_000_000);
        let merged = Merged::of(std::iter::once(&histogram));
        let exemplar = Exemplar::new("r-1", 2_000, 1_700_000_000_012).unwrap();
        let one = Distribution {
            merged,
            exemplars: vec![(1, exemplar)],
        };
        let family = Family::distributions(&events::PYTHON_LOOP_LAG, vec![(vec![], one)]);
        let open = written(&family, Format::OpenMetrics);
        let name = "tailrace_python_loop_lag_seconds";
        for line in [
            format!("# UNIT {name} seconds\n"),
            format!("{name}_bucket{{le=\"0.001\"}} 0\n"),
            format!("{name}_bucket{{le=\"0.0025\"}} 1 # {{request_id=\"r-1\"}} 0.002 17"),
            "00000000.012\n".to_owned(),
            format!("{name}_bucket{{le=\"10.0\"}} 1\n{name}_bucket{{le=\"+Inf\"}} 2\n"),
            format!("{name}_sum 20.002\n{name}_count 2\n"),
        ] {
            assert!(open.contains(&line), "{line} is not in {open}");
        }
        let text = written(&family, Format::Text);
        assert!(!text.contains("r-1") && !text.contains("# UNIT"));
        assert_eq!(family.len(), 19);
    }

    #[test]
    fn zeros_go_before_what_counts() {
        let label = |name: &str| vec![("upstream", name.to_owned())];
        let series = vec![(label("a"), 0), (label("b"), 2), (label("c"), 0)];
        let mut family = Family::whole(&events::UPSTREAM_CALLS, series);
        assert_eq!(family.trim(1, true), 0);
        assert_eq!(family.len(), 2);
        assert_eq!(family.trim(5, true), 4, "one more zero went");
        assert_eq!(family.trim(4, false), 3);
        assert_eq!(family.len(), 0);
    }
}
