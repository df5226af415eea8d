//! What to do now that it runs: addresses, a request that can be copied as it is, and the way on.

use std::path::Path;
use std::time::Duration;

use super::demo::Offer;
use super::home::Home;
use super::ports::Ports;
use crate::screen::Paint;

pub(super) struct Told<'t> {
    pub(super) home: &'t Home,
    pub(super) ports: &'t Ports,
    pub(super) offer: Offer,
    /// How to call this program.
    pub(super) program: String,
    pub(super) took: Duration,
}

pub(super) fn text(told: &Told<'_>, paint: Paint) -> String {
    let Told { home, ports, .. } = told;
    let seconds = told.took.as_secs_f32();
    let title = paint.bold(concat!("turnpike ", env!("CARGO_PKG_VERSION")));
    let folder = home.folder.display();
    let mut text = format!("\n  {title}  ready in {seconds:.1} s; everything is kept in {folder}\n\n");
    let rows = [
        ("LLM API", format!("http://127.0.0.1:{}/v1", ports.proxy)),
        ("Control plane", format!("http://127.0.0.1:{}", ports.api)),
        ("", format!("admin token in {}", home.admin_token.display())),
        (
            "Metrics",
            format!("http://127.0.0.1:{}/metrics  http://127.0.0.1:{}/metrics", ports.proxy_ops, ports.api_ops),
        ),
        ("Logs", format!("{}/*.log", home.logs.display())),
    ];
    for (name, value) in rows {
        text.push_str(&format!("  {name:15}{value}\n"));
    }
    text.push_str(&match told.offer {
        Offer::Demo => demo(told, paint),
        Offer::Own => own(told, paint),
    });
    text.push_str("\n  Ctrl-C stops both planes.\n\n");
    text
}

/// Nothing here needs an account.
fn demo(told: &Told<'_>, paint: Paint) -> String {
    let key = quoted(&told.home.demo_key);
    let base = format!("http://127.0.0.1:{}/v1", told.ports.proxy);
    let [first, sdk, next] =
        ["Try it:", "With an OpenAI SDK (model \"demo\"):", "Your own provider:"].map(|head| paint.bold(head));
    let shell = shell(told);
    let program = word(&told.program);
    format!(
        r#"
  {first}

curl {base}/chat/completions \
  -H "Authorization: Bearer $(cat {key})" \
  -H 'content-type: application/json' \
  -d '{{"model": "demo", "messages": [{{"role": "user", "content": "Hello"}}]}}'

  {sdk}

export OPENAI_BASE_URL={base}
export OPENAI_API_KEY="$(cat {key})"

  {next} put its key in PROVIDER_KEY and

{shell}
{program} apply -f - <<'END'
kind: Provider
name: openai
dialect: openai
baseUrl: https://api.openai.com/v1
credential: {{env: PROVIDER_KEY}}
---
kind: Model
name: gpt-4o-mini
targets: [{{provider: openai, model: gpt-4o-mini}}]
END
"#
    )
}

fn own(told: &Told<'_>, paint: Paint) -> String {
    let head = paint.bold("The command line, from another terminal:");
    let shell = shell(told);
    let program = word(&told.program);
    format!("\n  {head}\n\n{shell}\n{program} get models\n{program} keys create NAME --model '*'\n")
}

/// What the command line needs to know in another terminal.
fn shell(told: &Told<'_>) -> String {
    let token = word(&told.home.admin_token.display().to_string());
    format!("export TURNPIKE_API=http://127.0.0.1:{} TURNPIKE_TOKEN_FILE={token}", told.ports.api)
}

fn quoted(path: &Path) -> String {
    word(&path.display().to_string())
}

/// One word to a shell, in quotes only if it needs them.
fn word(text: &str) -> String {
    let harmless = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c));
    if harmless { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests;
