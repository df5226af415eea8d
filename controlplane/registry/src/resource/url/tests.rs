use vocab::address::check_address;

use super::*;

#[test]
fn where_providers_live() {
    for text in [
        "http://127.0.0.1:18080/v1",
        "https://api.openai.com/v1",
        "https://api.openai.com/v1/",
        "http://localhost",
        "http://vllm.models.svc.cluster.local.:8000/v1",
        "http://[::1]:8080/v1",
        "https://[2001:db8::1]",
        "http://my_service:65535",
        "https://host/openai/deployments/gpt%204o",
    ] {
        assert_eq!(BaseUrl::new(text).map(|url| url.as_str().to_owned()), Ok(text.to_owned()), "{text}");
    }
}

#[test]
fn what_is_no_base_url_is_refused_with_its_reason() {
    for (text, why) in [
        ("", BadUrl::Scheme),
        ("ftp://host", BadUrl::Scheme),
        ("file:///etc/passwd", BadUrl::Scheme),
        ("api.openai.com/v1", BadUrl::Scheme),
        ("https:/host", BadUrl::Scheme),
        ("https://", BadUrl::NoHost),
        ("https:///v1", BadUrl::NoHost),
        ("http://:8080", BadUrl::NoHost),
        ("https://user:password@host/v1", BadUrl::UserInfo),
        ("https://good.com@evil.com/", BadUrl::UserInfo),
        ("https://host/v1?x=1", BadUrl::Query),
        ("https://host?x=1", BadUrl::Query),
        ("https://host#x", BadUrl::Query),
        ("https://ho st/", BadUrl::Host),
        ("https://host\\evil/", BadUrl::Host),
        ("https://höst/", BadUrl::Host),
        ("https://a..b/", BadUrl::Host),
        ("https://[::1", BadUrl::Host),
        ("https://[::1]x", BadUrl::Host),
        ("https://[fe80::1%eth0]/", BadUrl::Host),
        ("http://2852039166/", BadUrl::Host),
        ("http://0xa9fea9fe/", BadUrl::Host),
        ("http://0251.0376.0251.0376/", BadUrl::Host),
        ("http://169.254.43518/", BadUrl::Host),
        ("http://127.0.0.256/", BadUrl::Host),
        ("http://host:0", BadUrl::Port),
        ("http://host:65536", BadUrl::Port),
        ("http://host:+80", BadUrl::Port),
        ("http://host:", BadUrl::Port),
        ("http://host:80:80", BadUrl::Port),
        ("http://host/a b", BadUrl::Path(' ')),
        ("http://host/a\r\nx: y", BadUrl::Path('\r')),
        ("http://host/%", BadUrl::Percent),
        ("http://host/%zz", BadUrl::Percent),
        ("http://host/v1/../admin", BadUrl::Dots),
        ("http://host/%2E%2e/admin", BadUrl::Dots),
    ] {
        assert_eq!(BaseUrl::new(text), Err(why), "{text}");
    }
    let long = format!("http://host/{}", "a".repeat(BYTES_MAX));
    assert_eq!(BaseUrl::new(&long), Err(BadUrl::TooLong));
}

#[test]
fn an_address_is_seen_through_its_disguises() {
    for (host, guarded) in [
        ("169.254.169.254", true),
        ("169.254.169.254.", true),
        ("[fe80::1]", true),
        ("[fd00:ec2::254]", true),
        ("[::ffff:169.254.169.254]", true),
        ("[::169.254.169.254]", true),
        ("[64:ff9b::169.254.169.254]", true),
        ("[2002:a9fe:a9fe::1]", true),
        ("100.100.100.200", true),
        ("192.0.0.192", true),
        ("127.0.0.1", false),
        ("10.0.0.1", false),
        ("[::1]", false),
        ("[fd00:ec2::255]", false),
    ] {
        let url = BaseUrl::new(&format!("http://{host}:80/v1")).unwrap();
        assert_eq!(url.address().map(|address| check_address(address, false).is_err()), Some(guarded), "{host}");
    }
    assert_eq!(BaseUrl::new("http://metadata.google.internal/").unwrap().address(), None);
}
