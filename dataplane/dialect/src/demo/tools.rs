//! Which tools the demo calls, and with what.

use serde::Serialize;

use super::ask::{Chat, Tool, ToolChoice};
use super::sample::Sampler;
use super::{Stamp, refusal, tokens};
use crate::fault::Fault;

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
pub(super) fn calls(chat: &Chat<'_>, stamp: &Stamp<'_>) -> Vec<Call> {
    let asked = chat.last_said_by("user");
    let has_result = chat.messages.last().is_some_and(|message| matches!(message.role, "tool" | "function"));
    if has_result {
        return Vec::new();
    }
    let mut called: Vec<&Tool<'_>> = match chat.choice {
        ToolChoice::None => Vec::new(),
        ToolChoice::Named(name) => chat.tools.iter().filter(|tool| tool.name == name).collect(),
        ToolChoice::Auto | ToolChoice::Required => chat.tools.iter().filter(|tool| asked.contains(tool.name)).collect(),
    };
    if called.is_empty() && matches!(chat.choice, ToolChoice::Required) {
        called.extend(chat.tools.first());
    }
    called.truncate(if chat.one_call_only { 1 } else { 8 });
    let calls = called.into_iter().zip(1..).map(|(tool, n)| Call {
        id: stamp.id("call_", n),
        kind: "function",
        function: Function { name: tool.name.to_owned(), arguments: arguments(tool, asked) },
    });
    calls.collect()
}

fn arguments(tool: &Tool<'_>, asked: &str) -> String {
    let arguments = Sampler::new(tool.parameters, asked).value(tool.parameters);
    if arguments.is_object() { arguments.to_string() } else { String::from("{}") }
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
