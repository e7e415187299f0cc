//! The list of devices.

use super::*;
use crate::PairedDevice;

#[tokio::test]
async fn devices_are_listed_in_every_shape_they_have_been_seen_in() {
    let listed = r#"{"status":0,"body":{"devices":[
        {"type":"Scale","battery":"high","model":"Body+","model_id":5,"timezone":"Europe/Amsterdam",
         "first_session_date":null,"last_session_date":1693867179,"fw":"1751","mac_address":"00:24:e4:00:00:00",
         "deviceid":"f998be4b9ccc9e136fd8cd8e8e344c31ec3b271d","hash_deviceid":"f998be4b9ccc9e136fd8cd8e8e344c31ec3b271d"},
        {"type":"Sleep Monitor","battery":"unknown","model":"","model_id":"13","last_session_date":null,
         "deviceid":null,"hash_deviceid":"1f7c0e0d8f6e4a2d9b0a"},
        {"type":"Futuristic Device","deviceid":""},{"type":7}]}}"#;
    let server = Server::new([ok(listed), ok(r#"{"status":0,"body":[]}"#), ok(r#"{"status":0}"#)]).await;
    let list = async || adapter().devices(&app(&server), &TOKEN.into()).await.unwrap();
    assert_eq!(
        list().await,
        [
            PairedDevice {
                id: "f998be4b9ccc9e136fd8cd8e8e344c31ec3b271d".into(),
                kind: Some("Scale".into()),
                model: Some("Body+".into()),
                model_id: Some("5".into()),
                firmware: Some("1751".into()),
                battery: Some("high".into()),
                last_sync: Instant::from_second(1_693_867_179).ok(),
                ..PairedDevice::default()
            },
            PairedDevice {
                id: "1f7c0e0d8f6e4a2d9b0a".into(),
                kind: Some("Sleep Monitor".into()),
                model_id: Some("13".into()),
                ..PairedDevice::default()
            },
        ]
    );
    assert_eq!(list().await, []);
    assert_eq!(list().await, []);
    let seen = server.seen();
    assert_eq!((seen[0].uri.as_str(), &seen[0].form), ("/v2/user", &form(&[("action", "getdevice")])));
}
