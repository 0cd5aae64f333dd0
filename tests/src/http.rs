//! The HTTP face, as a client sees it.

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;

use crate::within;

/// The HTTP face for one user, or for nobody.
pub struct Web {
    client: Client,
    base: String,
    token: Option<String>,
}

/// An answer, read whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.body)?)
    }
}

impl Web {
    /// Speaks to this address with this token.
    pub fn new(address: &str, token: Option<String>) -> Self {
        Self { client: Client::new(), base: format!("http://{address}"), token }
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        read(self.request(Method::GET, path)).await
    }

    /// GET whose answer is read as it comes.
    pub async fn open(&self, path: &str, last_event_id: Option<&str>) -> anyhow::Result<Response> {
        let mut request = self.request(Method::GET, path);
        if let Some(last) = last_event_id {
            request = request.header("last-event-id", last);
        }
        within("an HTTP answer", async { Ok(request.send().await?) }).await
    }

    /// POST with a body.
    pub async fn post(&self, path: &str, body: Vec<u8>) -> anyhow::Result<Answer> {
        self.post_as(path, "application/pdf", body).await
    }

    /// POST with a body of this media type.
    pub async fn post_as(&self, path: &str, content_type: &str, body: Vec<u8>) -> anyhow::Result<Answer> {
        read(self.request(Method::POST, path).header("content-type", content_type).body(body)).await
    }

    /// POST with a JSON body.
    pub async fn post_json(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        read(self.request(Method::POST, path).json(body)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

async fn read(request: RequestBuilder) -> anyhow::Result<Answer> {
    within("an HTTP answer", async {
        let answer: Response = request.send().await?;
        let content_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        Ok(Answer { status: answer.status().as_u16(), content_type, body: answer.text().await? })
    })
    .await
}
