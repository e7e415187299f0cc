//! The stylesheet, the script and the icon: files of our own, whose names change with their content.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use http::{StatusCode, header};
use sha2::{Digest as _, Sha256};

/// A file.
pub(crate) struct Asset {
    pub(crate) name: String,
    kind: &'static str,
    content: &'static str,
}

impl Asset {
    pub(crate) fn new(stem: &str, extension: &str, kind: &'static str, content: &'static str) -> Self {
        let digest = HEXLOWER.encode(&Sha256::digest(content.as_bytes()));
        let hash = digest.get(..16).unwrap_or_default();
        Self { name: format!("{stem}.{hash}.{extension}"), kind, content }
    }
}

pub(crate) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("console", "css", "text/css; charset=utf-8", include_str!("../assets/console.css"))
});
pub(crate) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("console", "js", "text/javascript; charset=utf-8", include_str!("../assets/console.js"))
});
/// Of the pages that show the flow.
pub(crate) static FLOW_STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("flow", "css", "text/css; charset=utf-8", include_str!("../assets/flow.css"))
});
pub(crate) static FLOW_SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("flow", "js", "text/javascript; charset=utf-8", include_str!("../assets/flow.js"))
});
pub(crate) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("../assets/icon.svg")));

/// All of them. What only some pages load is named in the block `head` of their templates.
static ALL: [&LazyLock<Asset>; 9] = [
    &STYLE,
    &SCRIPT,
    &FLOW_STYLE,
    &FLOW_SCRIPT,
    &crate::set_up::STYLE,
    &crate::set_up::SCRIPT,
    &crate::mappings::STYLE,
    &crate::mappings::SCRIPT,
    &ICON,
];

/// `GET /console/assets/{name}`: a file; what a name stands for never changes.
pub(crate) async fn file(Path(name): Path<String>) -> Response {
    let Some(asset) = ALL.into_iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // An icon that is opened by itself is a document.
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ];
    (headers, asset.content).into_response()
}
