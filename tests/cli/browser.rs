//! A real browser, by its `DevTools` protocol: JSON messages over a web socket on the loopback.

use crate::harness::{PATIENCE, eventually};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

/// The names that a browser may have, on Debian and elsewhere.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// A browser with one page, ended when dropped.
pub(crate) struct Browser {
    process: Child,
    _profile: TempDir,
    socket: WebSocket<TcpStream>,
    session: String,
    next_id: u64,
    /// What the page has done since it was opened: console messages, errors, requests.
    events: Vec<Value>,
}

impl Browser {
    /// Starts it, with a profile of its own.
    pub(crate) fn start() -> Self {
        let profile = tempfile::Builder::new().prefix("profile-").tempdir().expect("a folder");
        let mut process = NAMES
            .iter()
            .find_map(|name| command(name, profile.path()).spawn().ok())
            .unwrap_or_else(|| {
                panic!(
                    "the report is tested in a real browser, and there is none of {NAMES:?} in \
                     PATH\n  on Debian and Ubuntu: apt-get install chromium"
                )
            });
        // It writes where it listens into its profile: the port, and the path of the socket.
        let port_file = profile.path().join("DevToolsActivePort");
        let mut address = String::new();
        eventually("the browser to listen", || {
            if let Ok(Some(status)) = process.try_wait() {
                panic!("the browser ended at once: {status}");
            }
            address = fs::read_to_string(&port_file).unwrap_or_default();
            address.contains("/devtools/")
        });
        let (port, path) = address.split_once('\n').expect("two lines");
        let stream = TcpStream::connect(format!("127.0.0.1:{port}")).expect("the browser listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        let (socket, _) = tungstenite::client(format!("ws://127.0.0.1:{port}{path}"), stream)
            .expect("a web socket");
        let mut browser = Self {
            process,
            _profile: profile,
            socket,
            session: String::new(),
            next_id: 1,
            events: Vec::new(),
        };
        let page = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", &attach)["sessionId"].clone();
        session.as_str().expect("a session").clone_into(&mut browser.session);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Calls a method, and returns its result.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, parameters: &Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(message.to_string())).expect("the browser listens");
        loop {
            let answer = self.receive();
            if answer["id"] == json!(id) {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    fn receive(&mut self) -> Value {
        loop {
            let message = self.socket.read().expect("the browser answers");
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).expect("a message is JSON");
            }
        }
    }

    /// Opens a file, and waits until all of it is loaded.
    pub(crate) fn open(&mut self, file: &Path) {
        self.events.clear();
        let url = format!("file://{}", file.to_str().expect("a plain path"));
        self.call("Page.navigate", &json!({"url": url}));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.receive();
            self.events.push(event);
        }
        // Whatever is still to come, comes before the answer to this.
        self.value("new Promise(done => requestAnimationFrame(() => setTimeout(done)))");
    }

    /// What an expression comes to in the page.
    #[track_caller]
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({
            "expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true,
        });
        let answer = self.call("Runtime.evaluate", &parameters);
        let failed = &answer["exceptionDetails"];
        assert!(failed.is_null(), "{expression}: {failed}");
        answer["result"]["value"].clone()
    }

    /// How many elements a selector finds.
    #[track_caller]
    pub(crate) fn count(&mut self, selector: &str) -> u64 {
        let count = self.value(&format!("document.querySelectorAll({}).length", json!(selector)));
        count.as_u64().expect("a number")
    }

    /// Presses a key.
    pub(crate) fn press(&mut self, key: &str, code: u32) {
        for kind in ["keyDown", "keyUp"] {
            let event =
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Clicks into the middle of the first element of a selector, as a mouse does.
    #[track_caller]
    pub(crate) fn click(&mut self, selector: &str) {
        let at = self.middle(selector);
        for kind in ["mousePressed", "mouseReleased"] {
            let event =
                json!({"type": kind, "x": at.0, "y": at.1, "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", &event);
        }
    }

    /// Moves the pointer there.
    #[track_caller]
    pub(crate) fn point_at(&mut self, selector: &str) {
        let at = self.middle(selector);
        let event = json!({"type": "mouseMoved", "x": at.0, "y": at.1});
        self.call("Input.dispatchMouseEvent", &event);
    }

    #[track_caller]
    fn middle(&mut self, selector: &str) -> (f64, f64) {
        let place = self.value(&format!(
            "(() => {{
                const element = document.querySelector({});
                element.scrollIntoView({{block: 'center'}});
                const {{x, y, width, height}} = element.getBoundingClientRect();
                return [x + width / 2, y + height / 2];
            }})()",
            json!(selector)
        ));
        (place[0].as_f64().expect("x"), place[1].as_f64().expect("y"))
    }

    /// A window of this size, on a phone or not.
    pub(crate) fn resize(&mut self, width: u32, height: u32, mobile: bool) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// What the person prefers: "light" or "dark".
    pub(crate) fn prefer(&mut self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", &features);
    }

    /// All that the page has said on the console, errors included.
    pub(crate) fn console(&self) -> Vec<&Value> {
        const SAID: [&str; 3] =
            ["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"];
        self.events_of(&SAID).collect()
    }

    /// The addresses that were asked for since the page was opened, without what is in it.
    pub(crate) fn requests(&self) -> Vec<&str> {
        self.events_of(&["Network.requestWillBeSent"])
            .filter_map(|event| event["params"]["request"]["url"].as_str())
            .filter(|url| !url.starts_with("data:"))
            .collect()
    }

    fn events_of<'a>(&'a self, methods: &'a [&str]) -> impl Iterator<Item = &'a Value> {
        self.events.iter().filter(|event| methods.iter().any(|&method| event["method"] == method))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its helpers are of its group, which may be gone already.
        let group = nix::unistd::Pid::from_raw(self.process.id().cast_signed());
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.process.wait();
    }
}

fn command(name: &str, profile: &Path) -> Command {
    let mut command = Command::new(name);
    command
        .args([
            "--headless",
            // Its sandbox is not to be had by root, nor in many containers; the pages are our own.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--remote-debugging-port=0",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    command
}
