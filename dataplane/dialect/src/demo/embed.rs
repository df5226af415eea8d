//! Embeddings: unit vectors made from the words, so that texts with words in common are near each other.

use serde_json::{Value, json};

use super::reply::whole;
use super::tokens::{count, pieces};
use super::{DemoAnswer, bad};
use crate::fault::Fault;

const DIMENSIONS: u64 = 256;
const DIMENSIONS_MAX: u64 = 4096;
const INPUTS_MAX: usize = 2048;

pub(super) fn answer(asked: &Value) -> Result<DemoAnswer, Fault> {
    let inputs = inputs(asked.get("input"))?;
    let dimensions = asked.get("dimensions").filter(|value| !value.is_null()).map_or(Some(DIMENSIONS), Value::as_u64);
    let dimensions = dimensions
        .filter(|dimensions| (1..=DIMENSIONS_MAX).contains(dimensions))
        .ok_or_else(|| bad("dimensions", format!("dimensions is between 1 and {DIMENSIONS_MAX}.")))?;
    let draw: fn(&[f32]) -> Value = match asked.get("encoding_format").and_then(Value::as_str) {
        None | Some("float") => |vector| json!(vector),
        Some("base64") => |vector| Value::String(base64(vector.iter().flat_map(|part| part.to_le_bytes()))),
        Some(_) => return Err(bad("encoding_format", "encoding_format is float or base64.")),
    };
    let tokens: usize = inputs.iter().map(Input::count).sum();
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| json!({"object": "embedding", "index": index, "embedding": draw(&input.vector(dimensions))}))
        .collect();
    Ok(whole(&json!({
        "object": "list",
        "data": data,
        "model": asked.get("model").and_then(Value::as_str).unwrap_or("demo"),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })))
}

enum Input {
    Text(String),
    Tokens(Vec<u64>),
}

fn inputs(value: Option<&Value>) -> Result<Vec<Input>, Fault> {
    let fault = || bad("input", "input is a string, a list of strings, or lists of token numbers.");
    let one = |value: &Value| match value {
        Value::String(text) => Some(Input::Text(text.clone())),
        Value::Array(tokens) => tokens.iter().map(Value::as_u64).collect::<Option<Vec<_>>>().map(Input::Tokens),
        _ => None,
    };
    let value = value.ok_or_else(fault)?;
    let list = match value {
        Value::Array(list) if list.is_empty() || INPUTS_MAX < list.len() => return Err(fault()),
        Value::Array(list) if list.iter().all(|item| !item.is_u64()) => list.iter().map(one).collect(),
        single => one(single).map(|input| vec![input]),
    };
    list.ok_or_else(fault)
}

impl Input {
    fn count(&self) -> usize {
        match self {
            Input::Text(text) => count(text),
            Input::Tokens(tokens) => tokens.len(),
        }
    }

    /// Each word adds the direction that its hash points to; the sum is brought to length one.
    fn vector(&self, dimensions: u64) -> Vec<f32> {
        let mut vector: Vec<f32> = (0..dimensions).map(|_| 0.0).collect();
        let seeds: Vec<u64> = match self {
            Input::Text(text) => pieces(text).into_iter().map(|piece| hash(&piece.trim().to_lowercase())).collect(),
            Input::Tokens(tokens) => tokens.iter().map(|token| mix(*token)).collect(),
        };
        for seed in seeds {
            let mut state = seed;
            for part in &mut vector {
                state = mix(state);
                // The top 16 bits as a number between -1 and 1.
                let top = u16::try_from(state >> 48).unwrap_or_default();
                *part += f32::from(top) / 32_768.0 - 1.0;
            }
        }
        let length = vector.iter().map(|part| part * part).sum::<f32>().sqrt();
        if length > 0.0 {
            for part in &mut vector {
                *part /= length;
            }
        } else if let Some(first) = vector.first_mut() {
            *first = 1.0;
        }
        vector
    }
}

fn hash(word: &str) -> u64 {
    word.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn base64(bytes: impl Iterator<Item = u8>) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = bytes.collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let value = (0..3).fold(0u32, |value, at| (value << 8) | u32::from(group.get(at).copied().unwrap_or_default()));
        for sixth in 0..4usize {
            let shift = 18 - 6 * sixth;
            let letter = usize::try_from((value >> shift) & 63).ok().and_then(|at| LETTERS.get(at));
            text.push(if sixth <= group.len() { letter.map_or('=', |letter| char::from(*letter)) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_64_is_the_common_one() {
        for (bytes, text) in [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.iter().copied()), text);
        }
    }

    #[test]
    fn vectors_have_length_one_and_like_texts_are_near() {
        let vector = |text: &str| Input::Text(text.to_owned()).vector(256);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let [cat, cats, bill] =
            ["the cat sat on the mat", "the cat sat on a mat", "quarterly invoice overdue"].map(vector);
        assert!((dot(&cat, &cat) - 1.0).abs() < 1e-4);
        assert!(dot(&cat, &cats) > dot(&cat, &bill) + 0.2);
        assert_eq!(vector("")[0], 1.0);
    }
}
