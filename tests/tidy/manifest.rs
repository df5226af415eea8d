//! As much of TOML as our manifests use.

/// One entry of a dependency section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub name: String,
    /// For tests only.
    pub dev: bool,
    /// Takes its version from the workspace, as all should.
    pub shared: bool,
    pub optional: bool,
    pub features: Vec<String>,
}

/// `(section, key, value)` in order; a value that spans lines is joined into one.
pub(crate) fn entries(text: &str) -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut entries: Vec<(String, String, String)> = Vec::new();
    let mut depth = 0;
    for line in text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let opened = line.matches(['[', '{']).count();
        let closed = line.matches([']', '}']).count();
        if depth > 0 {
            let (_, _, value) = entries.last_mut().expect("a value was opened");
            value.push_str(line);
            depth = (depth + opened).saturating_sub(closed);
        } else if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_string();
        } else if let Some((key, value)) = line.split_once('=') {
            entries.push((section.clone(), key.trim().to_string(), value.trim().to_string()));
            depth = opened.saturating_sub(closed);
        }
    }
    entries
}

pub(crate) fn dependencies(text: &str) -> Vec<Dependency> {
    let of_interest = |section: &str| section.ends_with("dependencies");
    let entries = entries(text).into_iter().filter(|(section, _, _)| of_interest(section));
    entries
        .map(|(section, key, value)| {
            let shared = key.ends_with(".workspace") || field(&value, "workspace") == Some("true");
            Dependency {
                name: key.split('.').next().unwrap_or_default().to_string(),
                dev: section.ends_with("dev-dependencies"),
                shared,
                optional: field(&value, "optional") == Some("true"),
                features: strings(field(&value, "features").unwrap_or_default()),
            }
        })
        .collect()
}

/// What stands behind `name =` in an inline table, up to the end of a list or to the next comma.
fn field<'t>(table: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = table.split_once(&format!("{name} = "))?;
    let end = if rest.starts_with('[') { rest.find(']') } else { rest.find([',', '}']) };
    rest.get(..end.unwrap_or(rest.len())).map(str::trim)
}

/// The quoted strings in a list.
pub(crate) fn strings(list: &str) -> Vec<String> {
    list.split('"').skip(1).step_by(2).map(str::to_string).collect()
}

#[test]
fn a_manifest_is_read() {
    let text = r#"
        [package]
        name = "proxy" # ours
        [dependencies]
        bytes.workspace = true
        wire = { workspace = true, optional = true, features = ["client", "more"] }
        [dev-dependencies]
        proptest = "1"
        [workspace]
        members = [
            "a",
            "b",
        ]
    "#;
    let entry = |name: &str, dev, shared, optional, features: &[&str]| Dependency {
        name: name.to_string(),
        dev,
        shared,
        optional,
        features: features.iter().map(ToString::to_string).collect(),
    };
    let expected = [
        entry("bytes", false, true, false, &[]),
        entry("wire", false, true, true, &["client", "more"]),
        entry("proptest", true, false, false, &[]),
    ];
    assert_eq!(dependencies(text), expected);
    let entries = entries(text);
    assert_eq!(entries.first(), Some(&("package".to_string(), "name".to_string(), "\"proxy\"".to_string())));
    assert_eq!(entries.last().map(|(_, _, list)| strings(list)), Some(vec!["a".to_string(), "b".to_string()]));
}
