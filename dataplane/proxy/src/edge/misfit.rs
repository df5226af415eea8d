//! What never became a request: the HTTP library refuses it with a bare status; we put words to that.

use bytes::{BufMut as _, Bytes, BytesMut};
use dialect::{Fault, FaultKind};
use vocab::Dialect;

/// Every answer of our own carries this, so that a head without it is the library's.
const OURS: &[u8] = b"x-turnpike-request-id";

/// The whole response to write instead of these bytes, if they are the library's own refusal.
pub(super) fn reworded(bytes: &[u8]) -> Option<Bytes> {
    let status = bytes.strip_prefix(b"HTTP/1.1 ")?.first_chunk::<3>()?;
    let (code, said) = match status {
        b"400" => ("malformed_request", "This is not an HTTP request that can be understood."),
        b"414" => ("uri_too_long", "The path and query are longer than anything here."),
        b"431" => ("headers_too_large", "The headers are more, or longer, than what is accepted here."),
        _ => return None,
    };
    if memchr::memmem::find(bytes, OURS).is_some() {
        return None;
    }
    let line = bytes.split(|byte| *byte == b'\r').next()?;
    let body = dialect::write_fault(Dialect::Openai, &Fault::new(FaultKind::InvalidRequest, code, said));
    let mut whole = BytesMut::with_capacity(line.len() + body.len() + 100);
    whole.put_slice(line);
    whole.put_slice(b"\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ");
    whole.put_slice(body.len().to_string().as_bytes());
    whole.put_slice(b"\r\n\r\n");
    whole.put_slice(&body);
    Some(whole.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_refusal_gets_words() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let worded = reworded(bare).unwrap();
        let text = std::str::from_utf8(&worded).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"));
        assert!(head.ends_with(&format!("content-length: {}", body.len())));
        assert!(body.contains("headers_too_large"));
    }

    #[test]
    fn what_we_say_ourselves_stays() {
        for said in
            ["HTTP/1.1 400 Bad Request\r\nx-turnpike-request-id: 1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "data: x", ""]
        {
            assert_eq!(reworded(said.as_bytes()), None, "{said}");
        }
    }
}
