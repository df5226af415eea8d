//! Who may speak to the API: whoever shows the admin token, once.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use trust::equal;
use vocab::Secret;

pub(super) fn is_admin(headers: &HeaderMap, token: &Secret) -> bool {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let one = values.next().filter(|_| values.next().is_none());
    let presented = one.and_then(|value| value.to_str().ok()).and_then(|text| text.split_once(' '));
    presented.is_some_and(|(scheme, presented)| scheme.eq_ignore_ascii_case("bearer") && equal(token, presented.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_right_token_is_right() {
        let token = Secret::new("t".into());
        let check = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            is_admin(&headers, &token)
        };
        assert!(check(&["Bearer t"]) && check(&["bearer t"]));
        for wrong in
            [&[][..], &["t"], &["Bearer"], &["Bearer "], &["Bearer x"], &["Basic t"], &["Bearer t", "Bearer t"]]
        {
            assert!(!check(wrong), "{wrong:?}");
        }
    }
}
