//! A search that finds nothing has to be able to find: every form of every canary, wherever it stands.

use data_encoding::{BASE64, HEXUPPER};

use crate::canary::{Canary, Kind, Search};

fn found(search: &Search, text: impl AsRef<[u8]>) -> bool {
    let mut bytes = b"{\"level\":\"INFO\",\"at\":1763700000123456}".to_vec();
    bytes.extend_from_slice(text.as_ref());
    bytes.extend_from_slice(b"\x00\xffmore");
    !search.hits("here", &bytes).is_empty()
}

#[test]
fn a_value_is_found_in_every_form() {
    let search = Search::of(&[Canary::value("weight", 7_123_456_789, 8)]);
    for text in [
        "71.23456789 kg",
        "71,23456789",
        "got 71.234567…",
        "value\":7123456789,\"unit\":-8",
        "7.123456789e1",
        "7.123456789E1",
        "71234.56789 g",
        "%37%31%2e%32%33%34%35%36%37%38%39",
        "37312e3233343536373839",
        "[55, 49, 46, 50, 51, 52, 53, 54, 55, 56, 57]",
    ] {
        assert!(found(&search, text), "{text}");
    }
    assert!(found(&search, 71.234_567_89_f64.to_le_bytes()));
    assert!(found(&search, 7_123_456_789_i64.to_be_bytes()));
    assert!(found(&search, "71.23456789".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()));
    assert!(found(&search, [0, 71, 0x09, 0x29, 0x1a, 0x85, 0x23, 0x28]), "NUMERIC");
    for text in ["71.2", "1763700000123456", "71.33456789", "6123456789"] {
        assert!(!found(&search, text), "{text}");
    }
    for before in ["", "a", "ab", "abc"] {
        assert!(
            found(&search, BASE64.encode(format!("{before}71.23456789, and more").as_bytes())),
            "{before}"
        );
        assert!(
            found(&search, BASE64.encode(format!("{before}71.23456789").as_bytes())),
            "{before}, at the end"
        );
    }
}

#[test]
fn a_secret_is_found_in_pieces() {
    let secret = "s3cr\"t/token+that-is-long/enough==";
    let search = Search::of(&[Canary::text("token", Kind::Secret, secret)]);
    for piece in [secret, &secret[..12], &secret[8..20], &secret.to_uppercase()] {
        assert!(found(&search, piece), "{piece}");
    }
    assert!(found(&search, HEXUPPER.encode(secret.as_bytes())));
    assert!(found(&search, url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>()));
    assert!(found(&search, serde_json::to_string(secret).unwrap()));
    assert!(!found(&search, "that-is-lon"));
    let key = "c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBtb3JlISE=";
    let search = Search::of(&[Canary::key("keyring", key)]);
    assert!(found(&search, "sixteen bytes and sixteen more!!"));
    assert!(found(&search, key));
}
