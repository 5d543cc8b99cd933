//! What an application is told beside its request.

use serde_json::json;

use super::super::{
    row::{Row, json, row},
    sides::{DEPLOYER, Stage},
};

const DETAILS: &str = "PEP 3333, Specification Details";
const VARIABLES: &str = "PEP 3333, environ Variables";
const VALIDATE: &str = "wsgiref.validate";

pub fn rows() -> Vec<Row> {
    vec![
        row(
            DETAILS,
            "This object must be a builtin Python dictionary (not a subclass, UserDict or other \
             dictionary emulation)",
            "environ is a dict",
        )
        .get("/kinds")
        .told(|told| told["is a dict"] == true && told["odd keys"] == json!([])),
        row(
            DETAILS,
            "and the application is allowed to modify the dictionary in any way it desires",
            "what one request does to environ, the next does not see",
        )
        .story(|stage| Box::pin(changed(stage))),
        row(
            VARIABLES,
            "It is a violation of this specification for any CGI variable's value to be of any \
             type other than str.",
            "variables are strings",
        )
        .get("/kinds?a=1")
        .told(|told| told["no strings"] == json!([])),
        row(
            VARIABLES,
            "SERVER_NAME and SERVER_PORT are required strings and must never be empty.",
            "there is a SERVER_NAME and a SERVER_PORT",
        )
        .get("/environ")
        .told(has_server),
        row(
            VARIABLES,
            "When HTTP_HOST is not set, these variables can be combined to determine a default.",
            "there is a SERVER_NAME even where nobody names a host",
        )
        .asks("GET /environ HTTP/1.0\r\n\r\n")
        .told(|told| has_server(told) && told.get("HTTP_HOST").is_none()),
        row(
            VARIABLES,
            "Note: missing variables (such as REMOTE_USER when no authentication has occurred) \
             should be left out of the environ dictionary.",
            "what is not there is left out",
        )
        .get("/environ")
        .variable("REMOTE_USER", None)
        .variable("AUTH_TYPE", None)
        .variable("HTTP_COOKIE", None)
        .told(|told| {
            let variables = told.as_object().unwrap();
            variables.iter().all(|(name, value)| name.contains('.') || value != "None")
        }),
        row(
            VARIABLES,
            "A server or gateway should attempt to provide as many other CGI variables as are \
             applicable.",
            "who asks is told",
        )
        .get("/environ")
        .variable("REMOTE_ADDR", Some("127.0.0.1")),
        row(
            VARIABLES,
            "wsgi.version: The tuple (1, 0), representing WSGI version 1.0.",
            "the version is 1.0",
        )
        .get("/wsgi")
        .told(|told| told["version"] == "(1, 0)"),
        row(
            VARIABLES,
            "wsgi.url_scheme: Normally, this will have the value \"http\" or \"https\", as appropriate.",
            "the scheme is http",
        )
        .get("/wsgi")
        .told(|told| told["url_scheme"] == "http"),
        row(
            VARIABLES,
            "wsgi.multithread: This value should evaluate true if the application object may be \
             simultaneously invoked by another thread in the same process, and should evaluate \
             false otherwise.",
            "one thread is not many",
        )
        .get("/wsgi")
        .told(|told| told["multithread"] == false),
        row(
            VARIABLES,
            "wsgi.multiprocess: This value should evaluate true if an equivalent application \
             object may be simultaneously invoked by another process",
            "two processes are many",
        )
        .get("/wsgi")
        .told(|told| told["multiprocess"] == true),
        row(
            VARIABLES,
            "wsgi.run_once: Normally, this will only be true for a gateway based on CGI (or \
             something similar).",
            "it runs more than once",
        )
        .get("/wsgi")
        .told(|told| told["run_once"] == false),
        row(
            VARIABLES,
            "These variables should be named using only lower-case letters, numbers, dots, and \
             underscores, and should be prefixed with a name that is unique to the defining \
             server or gateway.",
            "variables are named as they should be",
        )
        .get("/kinds")
        .told(|told| told["odd names"] == json!([])),
        row(
            "PEP 3333, Input and Error Streams",
            "The methods listed in the table above must be supported by all servers conforming \
             to this specification.",
            "wsgi.errors takes lines, and any text",
        )
        .get("/errors")
        .tells(json!("written")),
        row(
            "PEP 3333, Application Configuration",
            "Servers and gateways should support this by allowing an application's deployer to \
             specify name-value pairs to be placed in environ.",
            "what the deployer says is in environ",
        )
        .get("/environ")
        .variable(DEPLOYER.0, Some(DEPLOYER.1)),
        row(
            VALIDATE,
            "Environment should not have the key: HTTP_CONTENT_TYPE (use CONTENT_TYPE instead)",
            "type and length are not told twice",
        )
        .asks(
            "POST /environ HTTP/1.1\r\nHost: a\r\nContent-Type: text/x-own; a=b\r\n\
             Content-Length: 3\r\n\r\nabc",
        )
        .variable("CONTENT_TYPE", Some("text/x-own; a=b"))
        .variable("CONTENT_LENGTH", Some("3"))
        .variable("HTTP_CONTENT_TYPE", None)
        .variable("HTTP_CONTENT_LENGTH", None),
        row(
            VALIDATE,
            "Invalid CONTENT_LENGTH",
            "without a body there is no odd length",
        )
        .get("/environ")
        .told(|told| {
            let length = told.get("CONTENT_LENGTH").map(|value| value.as_str().unwrap());
            let kind = told.get("CONTENT_TYPE").map(|value| value.as_str().unwrap());
            matches!(length, None | Some("" | "0")) && matches!(kind, None | Some(""))
        }),
        row(
            VALIDATE,
            "SCRIPT_NAME cannot be '/'; it should instead be '', and PATH_INFO should be '/'",
            "the root is a path, not a name",
        )
        .get("/")
        .told(|told| told["PATH_INFO"] == "/" && is_empty(&told["SCRIPT_NAME"])),
        row(
            VALIDATE,
            "PATH_INFO doesn't start with /",
            "the asterisk is no path",
        )
        .asks("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
        .told_or_refused(|told| told["PATH_INFO"] != "*"),
        row(
            VALIDATE,
            "(all that the wrapper checks)",
            "the wrapper finds nothing with a body",
        )
        .post("/validated", "body")
        .body("valid body")
        .notes(["close"]),
        row(
            VALIDATE,
            "(all that the wrapper checks)",
            "the wrapper finds nothing without one",
        )
        .get("/validated?query")
        .body("valid ")
        .notes(["close"]),
        row(
            VALIDATE,
            "(all that the wrapper checks)",
            "the wrapper finds nothing with HEAD",
        )
        .head("/validated")
        .fields("content-length", ["6"])
        .notes(["close"]),
    ]
}

fn has_server(told: &serde_json::Value) -> bool {
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    !text("SERVER_NAME").is_empty() && text("SERVER_PORT").parse::<u16>().is_ok()
}

fn is_empty(value: &serde_json::Value) -> bool {
    value.is_null() || value == ""
}

/// Often enough that each process is asked twice.
async fn changed(stage: &Stage) -> Result<(), String> {
    let request = stage.named("GET /changes_environ HTTP/1.1\r\nHost: a\r\n\r\n");
    for _ in 0..5 {
        let mut client = stage.client().await;
        client.send(&request).await?;
        let told = json(&client.expect(false).await?)?;
        if told != json!([]) {
            return Err(format!("left over or missing: {told}"));
        }
    }
    Ok(())
}
