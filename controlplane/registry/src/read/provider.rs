//! Provider documents: an address and a credential, or the demo.

use serde_json::{Map, Value};
use vocab::address::check_address;
use vocab::pem::check_certificates;
use vocab::{Dialect, ProviderName, Secret};

use super::fields::{Fields, noun, quoted};
use super::known;
use crate::draft::{Body, CredentialDraft, HttpDraft, ProviderDraft, ReachDraft, Source};
use crate::fault::Report;
use crate::nearest::hint;
use crate::resource::{BaseUrl, Demo, Sealed, Timeouts};
use crate::settle::check_credential;

const CA_BYTES_MAX: usize = 64 * 1024;
const PATH_BYTES_MAX: usize = 4096;
const ENV_BYTES_MAX: usize = 256;
const HOUR_MS: u32 = 3_600_000;
const MINUTE_MS: u32 = 60_000;

/// What only an address has.
const OF_HTTP: [&str; 4] = ["credential", "allowLinkLocal", "ca", "timeouts"];

pub(super) fn read(map: &Map<String, Value>, report: &mut Report) -> Option<Body> {
    let known: &[&str] =
        known!["dialect", "baseUrl", "credential", "allowLinkLocal", "ca", "timeouts", "demo", "keepLastGood"];
    let fields = Fields::new("", map, known, report);
    let name = fields.required_parsed("name", ProviderName::new, report);
    let dialect = fields.required_parsed("dialect", dialect, report);
    let keep_last_good = fields.flag("keepLastGood", report);
    let reach = match (fields.has("baseUrl"), fields.has("demo")) {
        (true, false) => http(&fields, report).map(ReachDraft::Http),
        (false, true) => demo(&fields, report).map(ReachDraft::Demo),
        (true, true) => {
            fields.fault("demo", "the demo answers by itself: take either `demo` or `baseUrl` away", report);
            None
        }
        (false, false) => {
            fields.fault("baseUrl", "is missing; or `demo: {}` for a provider that answers by itself", report);
            None
        }
    };
    Some(Body::Provider(ProviderDraft { name: name?, dialect: dialect?, reach: reach?, keep_last_good }))
}

fn dialect(text: &str) -> Result<Dialect, String> {
    let known = || Dialect::ALL.map(Dialect::as_str);
    Dialect::parse(text).ok_or_else(|| {
        let hint = hint(text, known());
        format!("there is no dialect {} among {}{hint}", quoted(text), known().join(", "))
    })
}

fn http(fields: &Fields<'_>, report: &mut Report) -> Option<HttpDraft> {
    let base_url = fields.parsed("baseUrl", BaseUrl::new, report);
    let allow_link_local = fields.flag("allowLinkLocal", report);
    let address = base_url.as_ref().and_then(BaseUrl::address);
    if let Some(Err(why)) = address.map(|address| check_address(address, allow_link_local)) {
        fields.fault("baseUrl", why.to_string(), report);
    }
    let credential = credential(fields, report);
    let ca = fields.parsed("ca", certificates, report);
    let timeouts = timeouts(fields, report);
    Some(HttpDraft { base_url: base_url?, credential, allow_link_local, ca, timeouts })
}

fn timeouts(fields: &Fields<'_>, report: &mut Report) -> Timeouts {
    let Some(fields) = fields.inner("timeouts", &["connectMs", "idleMs"], report) else { return Timeouts::default() };
    Timeouts {
        connect_ms: fields.number("connectMs", 1..=MINUTE_MS, report),
        idle_ms: fields.number("idleMs", 1..=HOUR_MS, report),
    }
}

fn demo(fields: &Fields<'_>, report: &mut Report) -> Option<Demo> {
    for name in OF_HTTP.into_iter().filter(|name| fields.has(name)) {
        fields.fault(name, "means nothing with `demo`, which dials nobody", report);
    }
    let fields = fields.inner("demo", &["latencyMs", "chunkMs", "failPermille"], report)?;
    Some(Demo {
        latency_ms: fields.number("latencyMs", 0..=HOUR_MS, report),
        chunk_ms: fields.number("chunkMs", 0..=HOUR_MS, report),
        fail_permille: fields.number("failPermille", 0..=1000, report),
    })
}

fn credential(fields: &Fields<'_>, report: &mut Report) -> Option<CredentialDraft> {
    let choices = ["value", "env", "file", "sealed"];
    let fields = fields.inner("credential", &choices, report)?;
    if choices.into_iter().filter(|choice| fields.has(choice)).count() != 1 {
        fields.fault("", "must say exactly one of `value`, `env`, `file`, `sealed`", report);
        return None;
    }
    if let Some(value) = fields.get("sealed") {
        return sealed(&fields, value, report);
    }
    let value = fields.parsed("value", |text| check_credential(text).map(|()| Secret::new(text.to_owned())), report);
    let env = fields.parsed("env", env_name, report).map(Source::Env);
    let file = fields.parsed("file", file_path, report).map(Source::File);
    value.map(CredentialDraft::Value).or_else(|| env.or(file).map(CredentialDraft::Outside))
}

fn sealed(fields: &Fields<'_>, value: &Value, report: &mut Report) -> Option<CredentialDraft> {
    match value {
        Value::Bool(true) => Some(CredentialDraft::Unchanged),
        Value::String(text) => {
            let sealed = Sealed::from_base64(text);
            if sealed.is_none() {
                fields.fault("sealed", "must be base64, as an export writes it", report);
            }
            sealed.map(CredentialDraft::Sealed)
        }
        other => {
            let expected = "must be base64, or true to keep what there is";
            fields.fault("sealed", format!("{expected}, not {}", noun(other)), report);
            None
        }
    }
}

/// The rule for the names of variables that credentials are taken from, for whoever looks them up.
pub fn env_name(text: &str) -> Result<String, &'static str> {
    let fits = text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    let begins = text.bytes().next().is_some_and(|b| b.is_ascii_uppercase());
    if !fits || !begins || text.len() > ENV_BYTES_MAX {
        return Err("must be the name of an environment variable: A-Z, 0-9 and _, beginning with a letter");
    }
    if text.starts_with("TURNPIKE_") {
        return Err("must not begin with TURNPIKE_: those are our own settings");
    }
    Ok(text.to_owned())
}

fn file_path(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.len() <= PATH_BYTES_MAX && !text.chars().any(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("must be the path of a file, of at most {PATH_BYTES_MAX} bytes"))
    }
}

fn certificates(text: &str) -> Result<String, String> {
    if text.len() > CA_BYTES_MAX {
        return Err(format!("has at most {CA_BYTES_MAX} bytes, not {}", text.len()));
    }
    check_certificates(text).map(|()| text.to_owned()).map_err(|why| why.to_string())
}
