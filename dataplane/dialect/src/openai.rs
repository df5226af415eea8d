//! OpenAI's dialect: <https://platform.openai.com/docs/api-reference>.

pub(crate) mod fault;
pub(crate) mod head;
pub(crate) mod models;
pub(crate) mod stream;
pub(crate) mod usage;
