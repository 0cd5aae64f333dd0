//! What may be asked of a PDF job, from the submit to the results, with the real pipeline.

use anyhow::ensure;
use courant_tests::{Up, documents, program};
use serde_json::{Value, json};

#[tokio::test]
async fn pages_formats_and_separators_are_as_they_were_asked_for() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "1"]).await?;
    let to = ["--data-dir", &up.data_arg()?, "--user", "alice"];
    let command = async |arguments: &[&str]| program::must(&[arguments, &to].concat()).await;
    let file = up.scratch().join("seven.pdf");
    std::fs::write(&file, documents::pages(7))?;
    let file = file.to_string_lossy();
    // The parameters win over the formats beside them.
    let parameters = r#"{"pages": "2-3,7", "formats": ["md", "json"], "pageSeparator": "\n~~ {page} ~~\n\n"}"#;
    let id = command(&["submit", "--format", "html", "--parameters", parameters, &file]).await?.trim().to_owned();
    command(&["watch", &id]).await?;

    let names = command(&["outputs", &id]).await?;
    let names: Vec<&str> = names.lines().filter_map(|line| line.split_whitespace().next()).collect();
    ensure!(names == ["result.json", "result.md"], "{names:?}");
    let markdown = command(&["result", &id, "--format", "md"]).await?;
    ensure!(markdown.contains("\n~~ 3 ~~\n") && markdown.contains("\n~~ 7 ~~\n"), "{markdown}");
    ensure!(!markdown.contains("~~ 2 ~~") && !markdown.contains("<!-- page"), "{markdown}");
    let result: Value = serde_json::from_str(&command(&["result", &id, "--format", "json"]).await?)?;
    let pages: Vec<&Value> = result["pages"].as_array().into_iter().flatten().map(|page| &page["number"]).collect();
    ensure!(pages == [2, 3, 7] && result["document"]["pages"] == 7, "{pages:?}");

    let web = up.web("alice")?;
    let job = web.get(&format!("/v1/jobs/{id}")).await?.json()?["job"].take();
    ensure!(
        (&job["pagesTotal"], &job["pagesDone"], &job["documentPages"]) == (&json!(3), &json!(3), &json!(7)),
        "{job}"
    );
    ensure!(web.get(&format!("/v1/jobs/{id}/pages/7")).await?.status == 200, "page 7 is there under its number");
    let not_asked = web.get(&format!("/v1/jobs/{id}/pages/4")).await?;
    ensure!(not_asked.status == 404, "{not_asked:?}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused_with_the_path_of_the_field() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let web = up.web("alice")?;
    let submit = async |kind: &str, parameters: &str| -> anyhow::Result<(u16, Value)> {
        let part = |name: &str, value: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let file = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\n\r\nx\r\n--b--\r\n";
        let form = part("kind", kind) + &part("parameters", parameters) + file;
        let answer = web.post_as("/v1/jobs", "multipart/form-data; boundary=b", form.into_bytes()).await?;
        Ok((answer.status, answer.json()?))
    };
    for (parameters, field) in [
        (r#"{"page":"1"}"#, "parameters.page"),
        (r#"{"pages":"0"}"#, "parameters.pages"),
        (r#"{"ocr":"sometimes"}"#, "parameters.ocr"),
        (r#"{"ocrLanguages":["eng","-c x"]}"#, "parameters.ocrLanguages[1]"),
        (r#"{"formats":["docx"]}"#, "parameters.formats[0]"),
    ] {
        let (status, body) = submit("pdf", parameters).await?;
        ensure!(status == 400 && body["errors"][0]["field"] == field, "{parameters}: {status} {body}");
        ensure!(submit("other", parameters).await?.0 == 201, "the parameters of other kinds are their workers' matter");
    }
    let all = web.get("/v1/jobs?filter=kind%20%3D%20pdf").await?.json()?;
    ensure!(all["jobs"] == json!([]), "nothing is left of what was refused: {all}");
    Ok(())
}
