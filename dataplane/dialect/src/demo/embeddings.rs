//! Embeddings: <https://platform.openai.com/docs/api-reference/embeddings/object>.
//!
//! Each word moves a few dimensions that its hash picks, so texts that share words lie close to each other.

use serde::Serialize;
use serde_json::Value;

use super::ask::{whole_number, wrong_type};
use super::{DemoAnswer, Stamp, mixed, refusal, tokens, whole};
use crate::fault::Fault;

const DIMENSIONS: u64 = 256;
const DIMENSIONS_MAX: u64 = 4096;
const INPUTS_MAX: usize = 2048;
/// All dimensions of all inputs: 20 MB of text.
const NUMBERS_MAX: usize = 2_000_000;
const DIMENSIONS_A_WORD: u64 = 4;

#[derive(Debug, Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Row>,
    model: &'a str,
    usage: UsageSaid,
}

#[derive(Debug, Serialize)]
struct Row {
    object: &'static str,
    index: u64,
    embedding: Embedding,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Embedding {
    Floats(Vec<f32>),
    Base64(String),
}

/// Embeddings have no output to count.
#[derive(Debug, Serialize)]
struct UsageSaid {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// The words of one input, hashed, and how many tokens it has.
#[derive(Debug)]
struct Input {
    words: Vec<u64>,
    tokens: u64,
}

pub(super) fn answer(body: &Value, stamp: &Stamp<'_>) -> Result<DemoAnswer, Fault> {
    let inputs = inputs(body)?;
    let dimensions = whole_number(body, "dimensions")?.unwrap_or(DIMENSIONS);
    let length = usize::try_from(dimensions).unwrap_or(usize::MAX);
    if DIMENSIONS_MAX < dimensions || NUMBERS_MAX < length.saturating_mul(inputs.len()) {
        let message = format!(
            "The demo makes at most {DIMENSIONS_MAX} dimensions, and {NUMBERS_MAX} numbers in one answer; ask for fewer."
        );
        return Err(refusal("invalid_value", "dimensions", message));
    }
    let encode = match body.get("encoding_format").map_or(Some("float"), Value::as_str) {
        Some("float") => Embedding::Floats,
        Some("base64") => |vector: Vec<f32>| Embedding::Base64(base64(&vector)),
        _ => return Err(wrong_type("encoding_format", "`float` or `base64`")),
    };
    let prompt_tokens = inputs.iter().map(|input| input.tokens).sum();
    let rows = inputs.iter().zip(0..).map(|(input, index)| Row {
        object: "embedding",
        index,
        embedding: encode(vector(&input.words, dimensions)),
    });
    let usage = UsageSaid { prompt_tokens, total_tokens: prompt_tokens };
    Ok(whole(&List { object: "list", data: rows.collect(), model: stamp.model, usage }))
}

fn inputs(body: &Value) -> Result<Vec<Input>, Fault> {
    let wrong = || wrong_type("input", "a string, an array of strings, or tokens");
    let inputs: Vec<Input> = match body.get("input") {
        None | Some(Value::Null) => {
            return Err(refusal("missing_required_parameter", "input", "You must provide an `input`."));
        }
        Some(Value::Array(items)) if items.first().is_some_and(Value::is_number) => {
            vec![of_tokens(items).ok_or_else(wrong)?]
        }
        Some(Value::Array(items)) => items.iter().map(one).collect::<Option<_>>().ok_or_else(wrong)?,
        Some(item) => vec![one(item).ok_or_else(wrong)?],
    };
    if inputs.is_empty() || INPUTS_MAX < inputs.len() || inputs.iter().any(|input| input.tokens == 0) {
        let message = format!("`input` must hold 1 to {INPUTS_MAX} texts, none of them empty.");
        return Err(refusal("invalid_value", "input", message));
    }
    Ok(inputs)
}

fn one(item: &Value) -> Option<Input> {
    match item {
        Value::String(text) => {
            let words = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
            let mut words: Vec<u64> = words.map(|word| hash(&word.to_lowercase())).collect();
            if words.is_empty() {
                words.push(hash(text));
            }
            Some(Input { words, tokens: tokens::count(text) })
        }
        Value::Array(tokens) => of_tokens(tokens),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn of_tokens(tokens: &[Value]) -> Option<Input> {
    let words: Vec<u64> = tokens.iter().map(|token| token.as_u64().map(mixed)).collect::<Option<_>>()?;
    Some(Input { tokens: words.iter().map(|_| 1).sum(), words })
}

/// FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Of length one.
fn vector(words: &[u64], dimensions: u64) -> Vec<f32> {
    let mut vector: Vec<f32> = (0..dimensions).map(|_| 0.0).collect();
    for word in words {
        for n in 0..DIMENSIONS_A_WORD {
            let pick = mixed(word.wrapping_add(n));
            let at = usize::try_from(pick % dimensions).unwrap_or(0);
            if let Some(slot) = vector.get_mut(at) {
                *slot += if pick >> 63 == 0 { 1.0 } else { -1.0 };
            }
        }
    }
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    if length == 0.0 {
        // Everything cancelled out; some direction is better than none.
        vector.iter_mut().take(1).for_each(|slot| *slot = 1.0);
        return vector;
    }
    vector.iter_mut().for_each(|number| *number /= length);
    vector
}

/// Little-endian 32-bit floats, as OpenAI's clients ask for by default.
fn base64(vector: &[f32]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |n: usize| u32::from(group.get(n).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for n in 0..4 {
            let digit = usize::try_from(bits >> (18 - 6 * n) & 0x3f).unwrap_or(0);
            let letter = ALPHABET.get(digit).map_or('=', |letter| char::from(*letter));
            text.push(if n <= group.len() { letter } else { '=' });
        }
    }
    text
}
