//! What the demo reads in a chat request.

use serde_json::Value;

use super::{refusal, tokens};
use crate::fault::Fault;

/// A chat request, as far as the demo looks.
#[derive(Debug)]
pub(super) struct Chat<'b> {
    pub(super) messages: Vec<Message<'b>>,
    pub(super) tools: Vec<Tool<'b>>,
    tools_tokens: u64,
    pub(super) choice: ToolChoice<'b>,
    pub(super) one_call_only: bool,
    pub(super) format: Format<'b>,
    pub(super) limits: Limits<'b>,
    pub(super) delivery: Delivery,
}

#[derive(Debug)]
pub(super) struct Message<'b> {
    pub(super) role: &'b str,
    pub(super) text: String,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Tool<'b> {
    pub(super) name: &'b str,
    pub(super) parameters: &'b Value,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum ToolChoice<'b> {
    Auto,
    None,
    Required,
    Named(&'b str),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Format<'b> {
    Text,
    Object,
    Schema(&'b Value),
}

/// How long an answer may be, where it stops, and how many are wanted.
#[derive(Debug)]
pub(super) struct Limits<'b> {
    pub(super) n: u64,
    pub(super) tokens_max: Option<u64>,
    pub(super) stop: Vec<&'b str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    Whole,
    Streamed { with_usage: bool },
}

impl<'b> Chat<'b> {
    pub(super) fn read(body: &'b Value) -> Result<Chat<'b>, Fault> {
        let messages = match body.get("messages") {
            None | Some(Value::Null) => {
                return Err(refusal("missing_required_parameter", "messages", "You must provide `messages`."));
            }
            Some(Value::Array(messages)) if messages.is_empty() => {
                return Err(refusal("empty_array", "messages", "`messages` must hold at least one message."));
            }
            Some(Value::Array(messages)) => messages,
            Some(_) => return Err(wrong_type("messages", "an array of messages")),
        };
        let messages = messages.iter().enumerate().map(|(n, message)| Message::read(n, message));
        Ok(Chat {
            messages: messages.collect::<Result<_, _>>()?,
            tools: tools(body)?,
            tools_tokens: body.get("tools").map_or(0, |tools| tokens::count(&tools.to_string())),
            choice: choice(body)?,
            one_call_only: body.get("parallel_tool_calls") == Some(&Value::Bool(false)),
            format: format(body)?,
            limits: Limits::read(body)?,
            delivery: Delivery::read(body),
        })
    }

    /// What the caller said last; the beginning of it is all the demo listens to.
    pub(super) fn asked(&self) -> &str {
        let message = self.messages.iter().rev().find(|message| message.role == "user");
        let text = message.map_or("", |message| message.text.trim());
        text.get(..text.floor_char_boundary(HEARD_BYTES_MAX)).unwrap_or(text)
    }

    /// What a tool has said, if that is what is to be answered.
    pub(super) fn result(&self) -> Option<&str> {
        let last = self.messages.last().filter(|message| matches!(message.role, "tool" | "function"));
        last.map(|message| message.text.as_str())
    }

    /// The tokens of what is said, one a message for who says it, and those of the tools.
    pub(super) fn prompt_tokens(&self) -> u64 {
        self.tools_tokens + self.messages.iter().map(|message| 1 + tokens::count(&message.text)).sum::<u64>()
    }
}

const HEARD_BYTES_MAX: usize = 4096;
const TOOLS_MAX: usize = 128;
const STOPS_MAX: usize = 4;
const ROLES: [&str; 6] = ["system", "developer", "user", "assistant", "tool", "function"];

impl<'b> Message<'b> {
    fn read(n: usize, message: &'b Value) -> Result<Message<'b>, Fault> {
        let at = format!("messages[{n}]");
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        if !ROLES.contains(&role) {
            let message = format!("`{at}.role` must be one of {}.", ROLES.join(", "));
            return Err(refusal("invalid_value", &format!("{at}.role"), message));
        }
        let said = |part: &'b Value| part.get("text").and_then(Value::as_str);
        let text = match message.get("content") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(parts)) => parts.iter().filter_map(said).collect::<Vec<_>>().join("\n"),
            None | Some(Value::Null) if role == "assistant" => String::new(),
            _ => return Err(wrong_type(&format!("{at}.content"), "a string or an array of parts")),
        };
        Ok(Message { role, text })
    }
}

impl<'b> Limits<'b> {
    pub(super) fn read(body: &'b Value) -> Result<Limits<'b>, Fault> {
        let tokens_max = match whole_number(body, "max_completion_tokens")? {
            None => whole_number(body, "max_tokens")?,
            given => given,
        };
        let n = whole_number(body, "n")?.unwrap_or(1);
        if !(1..=4).contains(&n) {
            return Err(refusal("invalid_value", "n", "`n` must be 1 to 4 for the demo."));
        }
        let stop = match body.get("stop") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(stop)) => vec![stop.as_str()],
            Some(Value::Array(stops)) if stops.len() <= STOPS_MAX => stops.iter().filter_map(Value::as_str).collect(),
            Some(_) => return Err(wrong_type("stop", "a string or an array of at most four strings")),
        };
        Ok(Limits { n, tokens_max, stop })
    }
}

impl Delivery {
    pub(super) fn read(body: &Value) -> Delivery {
        if body.get("stream") != Some(&Value::Bool(true)) {
            return Delivery::Whole;
        }
        let options = body.get("stream_options");
        let with_usage = options.and_then(|options| options.get("include_usage")) == Some(&Value::Bool(true));
        Delivery::Streamed { with_usage }
    }
}

pub(super) fn model(body: &Value) -> Result<&str, Fault> {
    let model = body.get("model").and_then(Value::as_str);
    model.ok_or_else(|| refusal("missing_model", "model", "You must provide a `model`."))
}

fn tools(body: &Value) -> Result<Vec<Tool<'_>>, Fault> {
    let tools = match body.get("tools") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(tools)) if tools.len() <= TOOLS_MAX => tools,
        Some(_) => return Err(wrong_type("tools", &format!("an array of at most {TOOLS_MAX} tools"))),
    };
    let tools = tools.iter().enumerate().map(|(n, tool)| {
        let wrong = || wrong_type(&format!("tools[{n}].function.name"), "a string");
        let function = tool.get("function").ok_or_else(wrong)?;
        let name = function.get("name").and_then(Value::as_str).ok_or_else(wrong)?;
        Ok(Tool { name, parameters: function.get("parameters").unwrap_or(&Value::Null) })
    });
    tools.collect()
}

fn choice(body: &Value) -> Result<ToolChoice<'_>, Fault> {
    match body.get("tool_choice") {
        None | Some(Value::Null) => Ok(ToolChoice::Auto),
        Some(Value::String(choice)) if choice == "auto" => Ok(ToolChoice::Auto),
        Some(Value::String(choice)) if choice == "none" => Ok(ToolChoice::None),
        Some(Value::String(choice)) if choice == "required" => Ok(ToolChoice::Required),
        Some(choice) => match choice.pointer("/function/name").and_then(Value::as_str) {
            Some(name) => Ok(ToolChoice::Named(name)),
            None => Err(wrong_type("tool_choice", "`auto`, `none`, `required` or an object that names a function")),
        },
    }
}

fn format(body: &Value) -> Result<Format<'_>, Fault> {
    let Some(format) = body.get("response_format").filter(|format| !format.is_null()) else {
        return Ok(Format::Text);
    };
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::Object),
        Some("json_schema") => match format.pointer("/json_schema/schema") {
            Some(schema) => Ok(Format::Schema(schema)),
            None => Err(wrong_type("response_format.json_schema.schema", "a JSON schema")),
        },
        _ => Err(wrong_type("response_format.type", "`text`, `json_object` or `json_schema`")),
    }
}

pub(super) fn whole_number(body: &Value, field: &'static str) -> Result<Option<u64>, Fault> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(number) => match number.as_u64().filter(|number| 0 < *number) {
            Some(number) => Ok(Some(number)),
            None => Err(wrong_type(field, "a whole number above zero")),
        },
    }
}

pub(super) fn wrong_type(field: &str, wanted: &str) -> Fault {
    refusal("invalid_type", field, format!("`{field}` must be {wanted}."))
}
