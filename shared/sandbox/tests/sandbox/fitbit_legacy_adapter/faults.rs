//! What goes wrong, and the end.

use super::*;

#[tokio::test]
async fn one_patients_hour_does_not_stop_the_others() {
    let cloud = Cloud::with(|config| config.requests_per_hour = 4).await;
    let (grant, other) = (cloud.connect(GINA).await, cloud.connect(HUGO).await);
    // Half past: the hour is over in 30 minutes.
    cloud.clock.advance(Duration::from_secs(1800));
    for _ in 0..3 {
        cloud.read(&grant, "weight", &cloud.last(DAY)).await.unwrap();
    }
    let before = cloud.calls();
    let error = cloud.read(&grant, "weight", &cloud.last(DAY)).await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Spent { after: Duration::from_secs(1800) });
    assert_eq!(cloud.calls(), before, "the last answer has said that there are no more");
    cloud.read(&other, "weight", &cloud.last(DAY)).await.unwrap();
    // 429 says the same, and pauses nobody else either.
    cloud.sim.inject(Fault::TooManyRequests { calls: 1 });
    let error = cloud.read(&other, "weight", &cloud.last(DAY)).await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Spent { after: Duration::from_secs(1800) });
    cloud.clock.advance(Duration::from_secs(1800));
    cloud.read(&grant, "weight", &cloud.last(DAY)).await.unwrap();
    assert_eq!(cloud.sim.stats().over_quota, 0);
}

#[tokio::test]
async fn the_end_of_the_service_is_never_the_patients_doing() {
    let cloud = Cloud::new().await;
    let grant = cloud.connect(GINA).await;
    cloud.read(&grant, "weight", &cloud.last(DAY)).await.unwrap();
    for how in [Retired::Forbidden, Retired::NotFound, Retired::Gone] {
        cloud.sim.retire(Some(how));
        let error = cloud.adapter.devices(&cloud.app, &grant.access_token).await.unwrap_err();
        assert!(matches!(error, ProviderError::Retired { .. }), "{how:?}: {error}");
        let refresh = grant.refresh_token.as_ref().unwrap();
        assert!(!cloud.adapter.revoke(&cloud.app, &grant.access_token, refresh).await.unwrap());
    }
    // Tokens are still given, and nobody knows them: the first refusal asks for a refresh, the second says why.
    cloud.sim.retire(Some(Retired::Unauthenticated));
    cloud.clock.advance(Duration::from_secs(3600));
    let error = cloud.read(&grant, "weight", &cloud.last(DAY)).await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Refresh);
    let next = cloud.refresh(&grant).await.unwrap();
    let error = cloud.read(&next, "weight", &cloud.last(DAY)).await.unwrap_err();
    assert!(matches!(error, ProviderError::Retired { .. }), "{error}");
    // What may be an outage is one for a day.
    for how in [Retired::Silence, Retired::Moved] {
        cloud.sim.retire(Some(how));
        let error = cloud.read(&next, "weight", &cloud.last(DAY)).await.unwrap_err();
        assert!(matches!(error.remedy(), Remedy::Retry { .. }), "{how:?}: {error}");
        cloud.clock.advance(Duration::from_secs(86_400));
        let error = cloud.read(&next, "weight", &cloud.last(DAY)).await.unwrap_err();
        assert!(matches!(error, ProviderError::Retired { .. }), "{how:?}: {error}");
        // It has only been away.
        cloud.sim.retire(None);
        let error = cloud.read(&next, "weight", &cloud.last(DAY)).await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Refresh, "{error}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_an_outage_for_a_day_and_then_the_end() {
    let mut cloud = Cloud::new().await;
    let grant = cloud.connect(GINA).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    cloud.app.config.base_urls.insert("api".into(), format!("http://{free}").parse().unwrap());
    for hours in [1, 22] {
        let error = cloud.read(&grant, "weight", &cloud.last(DAY)).await.unwrap_err();
        assert!(matches!(error, ProviderError::Transport { .. }), "{error}");
        cloud.clock.advance(Duration::from_secs(hours * 3600));
    }
    cloud.clock.advance(Duration::from_secs(3600));
    let error = cloud.refresh(&grant).await.unwrap_err();
    assert!(matches!(error, ProviderError::Retired { .. }), "{error}");
}

#[tokio::test]
async fn what_is_malformed_is_said_so_and_the_rest_arrives() {
    let cloud = Cloud::new().await;
    cloud.sim.seed(GINA, 9).unwrap();
    let grant = cloud.connect(GINA).await;
    cloud.read(&grant, "weight", &cloud.last(DAY)).await.unwrap();
    cloud.sim.inject(Fault::TruncateNextAnswer);
    let error = cloud.read(&grant, "weight", &cloud.last(DAY)).await.unwrap_err();
    assert!(matches!(error, ProviderError::Malformed { .. }), "{error}");
    for fault in [
        Fault::Error { status: 500, error_type: "system".into(), calls: 1 },
        Fault::GoogleError { status: 503, name: "UNAVAILABLE".into(), calls: 1 },
    ] {
        cloud.sim.inject(fault);
        let error = cloud.read(&grant, "weight", &cloud.last(DAY)).await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Retry { after: None }, "{error}");
    }
    // Since spring 2026 single endpoints answer so; the others go on.
    cloud.sim.inject(Fault::GoogleError { status: 403, name: "PERMISSION_DENIED".into(), calls: 1 });
    let error = cloud.read(&grant, "hrv", &cloud.last(DAY)).await.unwrap_err();
    assert!(matches!(error, ProviderError::Retired { .. }), "{error}");
    for record in ["sleep", "spo2"] {
        cloud.sim.inject(Fault::UnreadableEntry);
        assert_eq!(cloud.delivered(&grant, record, 8).await, cloud.truth(GINA, record), "{record}");
    }
}

#[tokio::test]
async fn a_list_never_leads_to_another_host() {
    let cloud = Cloud::with(|config| config.page_size = 2).await;
    cloud.sim.seed(GINA, 20).unwrap();
    let grant = cloud.connect(GINA).await;
    cloud.sim.inject(Fault::ForeignNext);
    cloud.sim.inject(Fault::ForeignNext);
    assert_eq!(cloud.delivered(&grant, "exercise", 19).await, cloud.truth(GINA, "exercise"));
    assert!(cloud.calls()["exercise"] >= 4);
}
