//! Parameters go to a worker, and what it makes comes back: over the command line, HTTP and a restart.

use anyhow::ensure;
use courant_tests::worker::Worker;
use courant_tests::{Up, program};
use serde_json::{Value, json};

#[tokio::test]
async fn parameters_go_to_a_worker_and_its_outputs_come_back() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let to = ["--data-dir", &up.data_arg()?, "--user", "alice"];
    let command = async |arguments: &[&str]| program::must(&[arguments, &to].concat()).await;
    let mut worker = Worker::start(&up, "words", 1)?;
    let file = up.scratch().join("a.txt");
    std::fs::write(&file, "two words")?;
    let file = file.to_string_lossy();
    let parameters = ["--param", "least=2", "--param", "language=de", "--parameters", r#"{"least":1,"exact":0.1}"#];
    let submit = [&["submit", "--kind", "words", "--format", "md"], &parameters[..], &[&*file]].concat();
    let id = command(&submit).await?.trim().to_owned();

    let work = worker.next().await?;
    let given: Value = serde_json::from_str(work.task.parameters())?;
    ensure!(given == json!({"least": 2, "exact": 0.1, "language": "de"}), "{given}");
    work.task.write_output("words.csv", "text/csv; charset=utf-8", "two,1\nwords,1\n".to_owned()).await?;
    work.task.write_output("figures/1.png", "image/png", vec![0x89; 300_000]).await?;
    work.export("two words").await?;
    work.succeed();
    program::must(&[&["watch", &id][..], &to].concat()).await?;

    let listed = command(&["outputs", &id]).await?;
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    ensure!(names == ["result.md", "words.csv", "figures/1.png"], "{listed}");
    let path = up.scratch().join("1.png");
    command(&["output", &id, "figures/1.png", "-o", &path.to_string_lossy()]).await?;
    ensure!(std::fs::read(&path)? == vec![0x89; 300_000], "the file differs");
    let unknown = program::run(&[&["output", &id, "figures/2.png"][..], &to].concat()).await?;
    ensure!(unknown.code != 0 && unknown.err.contains("figures/2.png"), "{}", unknown.err);

    let up = up.kill_and_restart().await?;
    over_http(&up, &id).await
}

async fn over_http(up: &Up, id: &str) -> anyhow::Result<()> {
    let web = up.web("alice")?;
    let job = web.get(&format!("/v1/jobs/{id}")).await?.json()?;
    let job = &job["job"];
    ensure!(job["parameters"]["language"] == "de" && job["parametersBytes"] == 39, "{job}");
    ensure!(job["outputs"][0]["url"] == format!("/v1/jobs/{id}/outputs/words.csv"), "{job}");
    for name in ["figures/1.png", "figures%2F1.png"] {
        let answer = web.open(&format!("/v1/jobs/{id}/outputs/{name}"), None).await?;
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        ensure!(header("content-type") == "image/png" && header("content-length") == "300000", "{answer:?}");
        ensure!(header("content-disposition").starts_with("attachment; filename=\"1.png\""), "{answer:?}");
        ensure!(header("content-security-policy").starts_with("sandbox"), "what a worker made runs nothing");
    }
    let filter = "/v1/jobs?filter=parameters.language%20%3D%20de";
    ensure!(web.get(filter).await?.json()?["jobs"][0]["jobId"] == id, "it is not found by its parameters");
    ensure!(up.web("bob")?.get(&format!("/v1/jobs/{id}/outputs")).await?.status == 404, "it is alice's");
    Ok(())
}

#[tokio::test]
async fn long_parameters_come_in_a_form_and_bad_ones_are_refused_with_their_field() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let web = up.web("alice")?;
    let form = |parameters: &str| {
        let part = |name: &str, value: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let file = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\n\r\nx\r\n--b--\r\n";
        (part("kind", "words") + &part("parameters", parameters) + file).into_bytes()
    };
    let submit =
        async |parameters: &str| web.post_as("/v1/jobs", "multipart/form-data; boundary=b", form(parameters)).await;
    let long = json!({"text": "x".repeat(60_000)}).to_string();
    let answer = submit(&long).await?;
    ensure!(answer.status == 201, "{answer:?}");
    let id = answer.json()?["job"]["jobId"].as_str().unwrap_or_default().to_owned();
    let job = web.get(&format!("/v1/jobs/{id}")).await?.json()?;
    ensure!(serde_json::to_string(&job["job"]["parameters"])? == long, "they are whole where one job is read");
    let listed = web.get("/v1/jobs").await?.json()?;
    ensure!(
        listed["jobs"][0]["parameters"].is_null() && listed["jobs"][0]["parametersBytes"] == long.len(),
        "{listed}"
    );

    for bad in ["[1]", "{\"a\":", &json!({"text": "x".repeat(65_600)}).to_string()] {
        let answer = submit(bad).await?;
        ensure!(answer.status == 400 && answer.body.contains("INVALID_FIELD"), "{answer:?}");
    }
    Ok(())
}
