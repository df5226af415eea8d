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
    for text in [
        "",
        "ftp://host",
        "file:///etc/passwd",
        "api.openai.com/v1",
        "https:/host",
        "https://",
        "https:///v1",
        "http://:8080",
        "https://user:password@host/v1",
        "https://good.com@evil.com/",
        "https://host/v1?x=1",
        "https://host?x=1",
        "https://host#x",
        "https://ho st/",
        "https://host\\evil/",
        "https://höst/",
        "https://a..b/",
        "https://[::1",
        "https://[::1]x",
        "https://[fe80::1%eth0]/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/",
        "http://169.254.43518/",
        "http://127.0.0.256/",
        "http://host:0",
        "http://host:65536",
        "http://host:+80",
        "http://host:",
        "http://host:80:80",
        "http://host/a b",
        "http://host/a\r\nx: y",
        "http://host/%",
        "http://host/%zz",
        "http://host/v1/../admin",
        "http://host/%2E%2e/admin",
        "http://-a",
        "http://a-/v1",
        "http://a.-b.c",
        "http://h/a'b",
        "http://127.0.0.1./v1",
    ] {
        assert!(BaseUrl::new(text).is_err(), "{text}");
    }
    let long = format!("http://host/{}", "a".repeat(2048));
    assert_eq!(BaseUrl::new(&long), Err(BadUrl::TooLong));
}

#[test]
fn an_address_is_seen_through_its_disguises() {
    for (host, guarded) in [
        ("169.254.169.254", true),
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
