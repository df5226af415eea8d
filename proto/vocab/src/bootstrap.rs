//! How a flag, an environment variable and a line in a file become the same bootstrap value.
//!
//! `--data-dir X`, `TURNPIKE_DATA_DIR=X` and `data-dir: X` say the same thing, and the first of them that is there
//! wins. This turns the lines of a file into arguments to be put in front of the real ones, so that one parser sees
//! them all.

/// The environment variable that says the same as a flag.
#[must_use]
pub fn variable(flag: &str) -> String {
    format!("TURNPIKE_{}", flag.to_ascii_uppercase().replace('-', "_"))
}

/// Lines as arguments, but for those that the environment overrules; or every fault there is.
pub fn arguments(
    text: &str,
    is_flag: impl Fn(&str) -> bool,
    is_set: impl Fn(&str) -> bool,
) -> Result<Vec<String>, Vec<String>> {
    let mut arguments = Vec::new();
    let mut faults = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once(':') {
            None => faults.push(format!("line {number}: write `name: value`, not {line:?}")),
            Some((name, _)) if name == "config" || !is_flag(name) => {
                faults.push(format!("line {number}: there is no setting {name:?}"));
            }
            Some((name, _)) if is_set(&variable(name)) => {}
            Some((name, value)) => arguments.push(format!("--{name}={}", bare(value.trim()))),
        }
    }
    if faults.is_empty() { Ok(arguments) } else { Err(faults) }
}

/// Without the quotes that YAML habits put around a value.
fn bare(value: &str) -> &str {
    let within = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    within('"').or_else(|| within('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: [&str; 3] = ["listen", "data-dir", "config"];

    fn check(text: &str, set: &[&str]) -> Result<Vec<String>, Vec<String>> {
        arguments(text, |name| FLAGS.contains(&name), |name| set.contains(&name))
    }

    #[test]
    fn lines_become_arguments_unless_the_environment_speaks() {
        let text = "# where\nlisten: 127.0.0.1:8080\n\n data-dir: \"/var/lib/x\" ";
        assert_eq!(check(text, &[]).unwrap(), ["--listen=127.0.0.1:8080", "--data-dir=/var/lib/x"]);
        assert_eq!(check(text, &["TURNPIKE_DATA_DIR"]).unwrap(), ["--listen=127.0.0.1:8080"]);
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let faults = check("lisen: 1\nnonsense\nconfig: x", &[]).unwrap_err();
        assert_eq!(faults.len(), 3);
        assert!(faults[0].contains("line 1") && faults[0].contains("lisen"));
    }
}
