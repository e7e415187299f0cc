//! The functions on AWS Lambda, as `ministack` emulates it: it runs each binary as a `provided.al2023` bootstrap over the real
//! runtime interface, reads SQS for event source mappings, and answers for function URLs and API Gateway.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::process::binary;
use crate::{outside, services};

/// The emulated account.
pub const ACCOUNT: &str = "000000000000";
/// How long a function may take over one invocation, in seconds.
const TIMEOUT: u32 = 60;
/// How many invocations of one queue run at once: the least that AWS allows.
const CONCURRENCY: u32 = 2;

/// Some functions of one test's own.
pub struct Lambda {
    base: String,
    prefix: String,
    http: reqwest::Client,
}

impl Lambda {
    /// None yet, in the emulator that has the test's queues.
    pub fn new(environment: &BTreeMap<String, String>) -> Self {
        let queues: url::Url = services::sqs_url().parse().expect("a URL");
        Self {
            base: queues.origin().ascii_serialization(),
            prefix: environment["OHX_SQS_PREFIX"].clone(),
            http: outside::http(),
        }
    }

    async fn call(&self, path: &str, body: &Value) -> Value {
        let sent = self.http.post(format!("{}{path}", self.base)).json(body).send().await;
        let answer = sent.expect("the emulator answers");
        let (status, text) = (answer.status(), answer.text().await.expect("a text"));
        assert!(status.is_success(), "{path}: {status}: {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The name of a function.
    fn name(&self, function: &str) -> String {
        format!("{}-{function}", self.prefix)
    }

    /// Deploys a binary of the workspace, `ohx-<function>`, stripped and zipped as `bootstrap`.
    pub async fn deploy(&self, function: &str, environment: &BTreeMap<String, String>, folder: &Path) {
        let variables: BTreeMap<_, _> =
            environment.iter().filter(|(name, _)| !name.starts_with("AWS_")).collect();
        let zip = zipped(&format!("ohx-{function}"), folder);
        let new = json!({
            "FunctionName": self.name(function), "Runtime": "provided.al2023", "Handler": "bootstrap",
            "Role": format!("arn:aws:iam::{ACCOUNT}:role/ohx"), "Timeout": TIMEOUT, "MemorySize": 256,
            "Environment": { "Variables": variables }, "Code": { "ZipFile": zip },
        });
        self.call("/2015-03-31/functions", &new).await;
    }

    /// Has a function's queues read for it; gives the mappings' ids, the most urgent first.
    pub async fn map(&self, function: &str) -> Vec<String> {
        let mut ids = Vec::new();
        for priority in ["high", "normal", "low"] {
            let queue = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{}-{function}-{priority}", self.prefix);
            let new = json!({
                "FunctionName": self.name(function), "EventSourceArn": queue, "BatchSize": 10,
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
                "ScalingConfig": { "MaximumConcurrency": CONCURRENCY },
            });
            let made = self.call("/2015-03-31/event-source-mappings", &new).await;
            ids.push(made["UUID"].as_str().expect("an id").to_owned());
        }
        ids
    }

    /// Gives a function an address of its own.
    pub async fn url(&self, function: &str) -> String {
        let path = format!("/2021-10-31/functions/{}/url", self.name(function));
        let made = self.call(&path, &json!({ "AuthType": "NONE" })).await;
        let url = made["FunctionUrl"].as_str().expect("an address");
        let id = url.trim_start_matches("https://").split('.').next().expect("a host");
        format!("{}/_aws/lambda-url/{id}", self.base)
    }

    /// Puts an HTTP API before a function, with a stage `prod`; gives the stage's address.
    pub async fn gateway(&self, function: &str) -> String {
        let api = self.call("/v2/apis", &json!({ "name": function, "protocolType": "HTTP" })).await;
        let id = api["apiId"].as_str().expect("an id");
        let to = json!({
            "integrationType": "AWS_PROXY", "payloadFormatVersion": "2.0",
            "integrationUri": format!("arn:aws:lambda:us-east-1:{ACCOUNT}:function:{}", self.name(function)),
        });
        let integration = self.call(&format!("/v2/apis/{id}/integrations"), &to).await;
        let target = format!("integrations/{}", integration["integrationId"].as_str().expect("an id"));
        let route = json!({ "routeKey": "$default", "target": target });
        self.call(&format!("/v2/apis/{id}/routes"), &route).await;
        self.call(&format!("/v2/apis/{id}/stages"), &json!({ "stageName": "prod", "autoDeploy": true }))
            .await;
        format!("{}/_aws/execute-api/{id}/prod", self.base)
    }

    /// Invokes a function and waits; its answer, or what it says went wrong.
    pub async fn invoke(&self, function: &str, payload: &Value) -> Result<Value, Value> {
        let url = format!("{}/2015-03-31/functions/{}/invocations", self.base, self.name(function));
        let answer = self.http.post(url).json(payload).send().await.expect("the emulator answers");
        let failed = answer.headers().contains_key("x-amz-function-error");
        let said = answer.json().await.unwrap_or_default();
        if failed { Err(said) } else { Ok(said) }
    }
}

/// A stripped binary as the zip that Lambda takes, in base64.
fn zipped(name: &str, folder: &Path) -> String {
    let (stripped, binary) = (folder.join(format!("{name}.stripped")), binary(name));
    let strip = Command::new("strip").arg("-o").arg(&stripped).arg(&binary).status().expect("strip runs");
    assert!(strip.success(), "{} is not built", binary.display());
    let zip = "import base64,sys,zipfile,io\n\
               out=io.BytesIO()\n\
               with zipfile.ZipFile(out,'w',zipfile.ZIP_DEFLATED,compresslevel=1) as z: z.write(sys.argv[1],'bootstrap')\n\
               sys.stdout.write(base64.b64encode(out.getvalue()).decode())";
    let made = Command::new("python3").args(["-c", zip]).arg(&stripped).output().expect("python3 runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).expect("base64")
}
