//! Models in OpenAI's dialect: <https://platform.openai.com/docs/api-reference/models>.

use crate::json;
use crate::models::ModelRow;

pub(crate) fn write_list<'m>(models: impl Iterator<Item = ModelRow<'m>>) -> Vec<u8> {
    let mut list = b"{\"object\":\"list\",\"data\":[".to_vec();
    for (n, model) in models.enumerate() {
        if 0 < n {
            list.push(b',');
        }
        list.extend(write(model));
    }
    list.extend_from_slice(b"]}");
    list
}

pub(crate) fn write(model: ModelRow<'_>) -> Vec<u8> {
    [
        b"{\"id\":",
        json::quote(model.name).as_slice(),
        b",\"object\":\"model\",\"created\":",
        model.created_s.to_string().as_bytes(),
        b",\"owned_by\":",
        json::quote(model.owner).as_slice(),
        b"}",
    ]
    .concat()
}
