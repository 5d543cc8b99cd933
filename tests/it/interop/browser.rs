//! The page as a person sees it: a real browser, the gateway, Gunicorn, Django.

use std::process::Command;

use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::json;
use tower_gateway::{GatewayProxy, StaticFiles, static_files::Listing};

use super::Gateway;
use crate::support::{
    process::{Process, say, tethered},
    python::Site,
    server,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_the_style_and_the_list_and_adds_a_question() {
    let Some(driver) = chromedriver("the page in a browser") else {
        return;
    };
    let site = Site::new();
    let mut gunicorn = site.gunicorn(&["--worker-class", "gthread", "--threads", "4"]);
    let proxy = GatewayProxy::to(&gunicorn.url()).unwrap();
    let gateway = Gateway::start(&site.static_root(), proxy).await;
    let browser = driver.browser().await;
    let outcome = visit(&browser, &format!("http://{}/", gateway.addr)).await;
    browser.close().await.unwrap();
    outcome.unwrap();
    gunicorn.process.wait_for("GET / ");
    let log = gunicorn.process.log();
    assert!(!log.contains("style.css"), "{log}");
}

async fn visit(browser: &Client, url: &str) -> Result<(), fantoccini::error::CmdError> {
    browser.goto(url).await?;
    let background = browser
        .execute(
            "return getComputedStyle(document.body).backgroundColor",
            Vec::new(),
        )
        .await?;
    assert_eq!(
        background, "rgb(244, 247, 241)",
        "the style sheet is applied"
    );
    let before = browser
        .find_all(Locator::Css("main a[href*='/questions/']"))
        .await?
        .len();
    assert!(before >= 3, "the seeded questions are listed");

    let field = browser.find(Locator::Css("[name=text]")).await?;
    field.send_keys("Can a person ask this?").await?;
    browser
        .find(Locator::Css("main form button"))
        .await?
        .click()
        .await?;
    let asked = Locator::XPath("//h1[contains(., 'Can a person ask this?')]");
    browser.wait().for_element(asked).await?;
    browser.goto(url).await?;
    let page = browser.source().await?;
    assert!(
        page.contains("Can a person ask this?"),
        "the list shows it: {page}"
    );
    let after = browser
        .find_all(Locator::Css("main a[href*='/questions/']"))
        .await?
        .len();
    assert_eq!(after, before + 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_clicks_through_a_list_to_a_file_with_an_odd_name() {
    let Some(driver) = chromedriver("a list of files in a browser") else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let odd = root.path().join("50% of <b>this<:b> & \"that\"? #1");
    std::fs::create_dir_all(odd.join("javascript:empty")).unwrap();
    std::fs::write(odd.join("a.txt"), "small").unwrap();
    std::fs::write(
        odd.join("na\u{ef}ve 100%25 #2?.html"),
        "<title>Found</title><h1>It is this one</h1>",
    )
    .unwrap();
    let files = StaticFiles::new(root.path()).listing(Listing::new());
    let server = server::spawn(files.at("/files")).await;
    let browser = driver.browser().await;
    let outcome = click_through(&browser, &format!("http://{}/files", server.addr)).await;
    browser.close().await.unwrap();
    outcome.unwrap();
}

async fn click_through(browser: &Client, url: &str) -> Result<(), fantoccini::error::CmdError> {
    let shown = |at: usize| async move {
        let links = browser.find_all(Locator::Css("tbody a")).await?;
        let text = links[at].text().await?;
        Ok::<_, fantoccini::error::CmdError>((links[at].clone(), text))
    };
    let odd = "50% of <b>this<:b> & \"that\"? #1/";

    browser.goto(url).await?;
    assert!(browser.current_url().await?.path().ends_with("/files/"));
    let collapse = "return getComputedStyle(document.querySelector('table')).borderCollapse";
    let collapse = browser.execute(collapse, Vec::new()).await?;
    assert_eq!(collapse, "collapse", "the policy lets the style in");
    let (link, text) = shown(0).await?;
    assert_eq!(text, odd);
    link.click().await?;

    // Inside, the largest first.
    browser
        .find(Locator::LinkText("Size"))
        .await?
        .click()
        .await?;
    let sorted = browser.current_url().await?;
    assert_eq!(sorted.query(), Some("sort=size&order=desc"));
    let (directory, text) = shown(0).await?;
    assert_eq!(text, "javascript:empty/");
    directory.click().await?;
    let page = browser.source().await?;
    assert!(
        page.contains("There is nothing in this directory."),
        "{page}"
    );

    // Up again, by the way that is shown.
    let up = Locator::Css("nav[aria-label=Breadcrumb] li:nth-child(2) a");
    let up = browser.find(up).await?;
    assert_eq!(format!("{}/", up.text().await?), odd);
    up.click().await?;
    let (_, text) = shown(1).await?;
    assert_eq!(text, "a.txt");
    let (link, text) = shown(2).await?;
    assert_eq!(text, "na\u{ef}ve 100%25 #2?.html");
    link.click().await?;
    assert_eq!(browser.title().await?, "Found");
    Ok(())
}

/// The program through which a browser is driven.
pub(super) struct Driver {
    port: String,
    profile: tempfile::TempDir,
    _process: Process,
}

/// `None`, and said so, where there is no browser; where a whole run is expected, a failure.
pub(super) fn chromedriver(shows: &str) -> Option<Driver> {
    let present = |program| Command::new(program).arg("--version").output().is_ok();
    if !present("chromedriver") || !present("chromium") {
        let missing = format!(
            "NOT TESTED: {shows}. There is no chromium with chromedriver \
             (Debian: apt-get install chromium chromium-driver)"
        );
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        say(format_args!("{missing}"));
        return None;
    }
    // It has the system choose a port for IPv6, and gives up if that is in use for IPv4.
    let start = || {
        let mut command = tethered("chromedriver");
        command.arg("--port=0");
        let mut process = Process::start(command);
        let line = process.look_for("started successfully on port")?;
        Some((process, line))
    };
    let (process, line) = (0..8).find_map(|_| start()).expect("a chromedriver");
    let port = line
        .trim_end_matches('.')
        .rsplit(' ')
        .next()
        .unwrap()
        .to_owned();
    Some(Driver {
        port,
        profile: tempfile::tempdir().unwrap(),
        _process: process,
    })
}

impl Driver {
    pub(super) async fn browser(&self) -> Client {
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--user-data-dir={}", self.profile.path().display()),
        ];
        let serde_json::Value::Object(capabilities) =
            json!({ "goog:chromeOptions": { "args": arguments } })
        else {
            panic!("an object is an object")
        };
        ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{}", self.port))
            .await
            .unwrap()
    }
}
