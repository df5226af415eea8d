//! Which tools the demo calls, and with what.

use serde::Serialize;

use super::ask::{Chat, Tool, ToolChoice};
use super::sample::Sampler;
use super::{Stamp, refusal, tokens};
use crate::fault::Fault;

const CALLS_MAX: u64 = 8;
const ARGUMENTS_BYTES_MAX: usize = 64 * 1024;

/// <https://platform.openai.com/docs/api-reference/chat/object#chat-object-choices-message-tool_calls>
#[derive(Debug, Clone, Serialize)]
pub(super) struct Call {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) function: Function,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) arguments: String,
}

impl Call {
    pub(super) fn tokens(&self) -> u64 {
        tokens::count(&self.function.name) + tokens::count(&self.function.arguments)
    }
}

/// The calls that stand in place of an answer; none if the demo answers in words.
/// The result of a tool is always answered in words, or the two would go on for ever.
pub(super) fn calls(chat: &Chat<'_>, stamp: &Stamp<'_>, choice: u64) -> Vec<Call> {
    if chat.result().is_some() {
        return Vec::new();
    }
    let asked = chat.asked();
    let said = asked.to_lowercase();
    let is_named = |tool: &&Tool<'_>| mentions(&said, &tool.name.to_lowercase());
    let mut called: Vec<&Tool<'_>> = match chat.choice {
        ToolChoice::None => Vec::new(),
        ToolChoice::Named(name) => chat.tools.iter().filter(|tool| tool.name == name).take(1).collect(),
        ToolChoice::Auto | ToolChoice::Required => chat.tools.iter().filter(is_named).collect(),
    };
    if called.is_empty() && matches!(chat.choice, ToolChoice::Required) {
        called.extend(chat.tools.first());
    }
    let first = CALLS_MAX * choice;
    let ids = first..first + if chat.one_call_only { 1 } else { CALLS_MAX };
    let calls = called.into_iter().zip(ids).map(|(tool, n)| Call {
        id: stamp.id("call_", n),
        kind: "function",
        function: Function { name: tool.name.to_owned(), arguments: arguments(tool, asked) },
    });
    calls.collect()
}

/// By its name, or by its name as one would say it.
fn mentions(asked: &str, name: &str) -> bool {
    asked.contains(name) || asked.contains(&name.replace('_', " "))
}

fn arguments(tool: &Tool<'_>, asked: &str) -> String {
    let arguments = Sampler::new(tool.parameters, asked).value(tool.parameters);
    let arguments = if arguments.is_object() { arguments.to_string() } else { String::new() };
    if (1..=ARGUMENTS_BYTES_MAX).contains(&arguments.len()) { arguments } else { "{}".to_owned() }
}

/// A choice that cannot be made.
pub(super) fn check(chat: &Chat<'_>) -> Result<(), Fault> {
    let has = |name: &str| chat.tools.iter().any(|tool| tool.name == name);
    match chat.choice {
        ToolChoice::Named(name) if !has(name) => Err(refusal(
            "invalid_value",
            "tool_choice",
            format!("`tool_choice` names `{name}`, which is not in `tools`."),
        )),
        ToolChoice::Required if chat.tools.is_empty() => {
            Err(refusal("invalid_value", "tool_choice", "`tool_choice` is `required`, but there are no `tools`."))
        }
        ToolChoice::Auto | ToolChoice::None | ToolChoice::Required | ToolChoice::Named(_) => Ok(()),
    }
}
