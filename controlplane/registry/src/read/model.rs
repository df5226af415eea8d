//! Model documents: where a name leads.

use serde_json::{Map, Value};
use vocab::{ModelName, ProviderName, UpstreamModel};

use super::fields::{Fields, noun};
use super::known;
use crate::draft::Body;
use crate::fault::Report;
use crate::resource::{Model, Target};

pub(super) const TARGETS_MAX: usize = 64;

pub(super) fn read(map: &Map<String, Value>, report: &mut Report) -> Option<Body> {
    let fields = Fields::new("", map, known!["targets", "keepLastGood"], report);
    let name = fields.required_parsed("name", ModelName::new, report);
    let keep_last_good = fields.flag("keepLastGood", report);
    fields.required("targets", report);
    let targets = fields.list("targets", TARGETS_MAX, report)?;
    if targets.is_empty() {
        fields.fault("targets", "must name at least one target: {provider, model}", report);
    }
    let targets = targets.iter().enumerate().map(|(at, value)| target(at, value, report));
    // Collected before the verdict, so that every target has its say.
    let targets: Vec<Option<Target>> = targets.collect();
    let targets = targets.into_iter().collect::<Option<Vec<_>>>()?;
    Some(Body::Model(Model { name: name?, targets, keep_last_good }))
}

fn target(at: usize, value: &Value, report: &mut Report) -> Option<Target> {
    let path = format!("targets[{at}]");
    let Value::Object(map) = value else {
        report.fault(&path, format!("must be an object {{provider, model}}, not {}", noun(value)));
        return None;
    };
    let fields = Fields::new(&path, map, &["provider", "model"], report);
    let provider = fields.required_parsed("provider", ProviderName::new, report);
    let model = fields.required_parsed("model", UpstreamModel::new, report);
    Some(Target { provider: provider?, model: model? })
}
