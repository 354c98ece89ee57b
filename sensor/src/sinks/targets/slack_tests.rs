use super::super::pace::Paced;
use super::super::testing::{
    HOSTILE, alert, decision, hostile_alert, message, of_alert, secret_file, server,
};
use super::super::{Target, Told};
use super::*;

const LONG: Duration = Duration::from_secs(20);

/// What Slack says to blocks that are beyond its limits, or that would notify people.
fn problem(body: &str) -> Option<&'static str> {
    let json: Value = serde_json::from_str(body).ok()?;
    let length = |value: &Value| value.as_str().map_or(usize::MAX, |text| text.chars().count());
    if length(&json["text"]) > 40_000 {
        return Some("msg_too_long");
    }
    let blocks = json["blocks"].as_array()?;
    let text = |object: &Value, limit: usize| {
        let known = matches!(object["type"].as_str(), Some("mrkdwn" | "plain_text"));
        known && (1..=limit).contains(&length(&object["text"]))
    };
    let fine = !blocks.is_empty()
        && blocks.len() <= 50
        && blocks.iter().all(|block| match block["type"].as_str() {
            Some("header") => block["text"]["type"] == "plain_text" && text(&block["text"], 150),
            Some("section") => match block["fields"].as_array() {
                Some(fields) => {
                    (1..=10).contains(&fields.len()) && fields.iter().all(|field| text(field, 2000))
                }
                None => text(&block["text"], 3000),
            },
            Some("context") => block["elements"].as_array().is_some_and(|all| (1..=10).contains(&all.len())),
            Some("actions") => block["elements"].as_array().is_some_and(|all| {
                (1..=25).contains(&all.len())
                    && all.iter().all(|b| length(&b["url"]) <= 3000 && text(&b["text"], 75))
            }),
            _ => false,
        });
    if !fine {
        return Some("invalid_blocks");
    }
    // Every `<` that is left would be a mention or a link.
    if body.contains('<') || body.contains('>') { Some("mention") } else { None }
}

fn slack(folder: &std::path::Path, url: &str) -> Slack {
    let url_file = secret_file(folder, "url", url);
    Slack::new(
        &SlackConfig { url_file, ..SlackConfig::default() },
        "box-1",
        "https://vesper.example.net:8888/",
    )
}

/// Answers like Slack.
fn stub() -> (String, std::sync::mpsc::Receiver<super::super::testing::Request>) {
    server(|request| match problem(&request.body) {
        None => "200 OK\n\nok".to_owned(),
        Some(problem) => format!("400 Bad Request\n\n{problem}"),
    })
}

#[test]
fn an_alert_as_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let (url, requests) = stub();
    let mut slack = slack(folder.path(), &format!("{url}/services/T0/B0/hunter2"));
    assert_eq!(slack.one(&of_alert(1, &alert(1)), LONG), Outcome::Delivered);
    let body: Value = serde_json::from_str(&requests.recv().unwrap().body).unwrap();
    assert_eq!(
        body,
        json!({
            "text": ":red_circle: High PortScan on box-1: 10.0.0.1 tried 100 ports of 10.0.0.2",
            "unfurl_links": false,
            "unfurl_media": false,
            "blocks": [
                {"type": "header", "text": {"type": "plain_text", "text": "High PortScan on box-1", "emoji": false}},
                {"type": "section", "text": {"type": "mrkdwn", "verbatim": true, "text": "10.0.0.1 tried 100 ports of 10.0.0.2"}},
                {"type": "section", "fields": [
                    {"type": "mrkdwn", "verbatim": true, "text": "*Confidence*\n90 %"},
                    {"type": "mrkdwn", "verbatim": true, "text": "*Source*\n`10.0.0.1:40000`"},
                    {"type": "mrkdwn", "verbatim": true, "text": "*Destination*\n`10.0.0.2:443`"},
                    {"type": "mrkdwn", "verbatim": true, "text": "*Protocol*\nTCP"},
                ]},
                {"type": "section", "text": {"type": "mrkdwn", "verbatim": true, "text": "*Recommended action*\n`block 10.0.0.1 at the firewall`"}},
                {"type": "section", "text": {"type": "mrkdwn", "verbatim": true, "text": "*Similar incident* `INC-2026-001`, 87 % alike"}},
                {"type": "context", "elements": [{"type": "mrkdwn", "verbatim": true, "text": "THREAT_20260101_001 · 2026-01-01T00:00:00Z"}]},
                {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Open in the console"}, "url": "https://vesper.example.net:8888/#/alerts/THREAT_20260101_001"}]},
            ],
        })
    );
}

#[test]
fn a_decision_as_the_incident_assistant_told_it() {
    let body = of_note(&Note::of(&decision(1)), "box-1", "");
    let text = body.to_string();
    assert_eq!(problem(&text), None);
    for part in [
        "Decision: database_timeout on box-1",
        "timeouts rose by 450 %",
        "*Confidence*\\n91 %",
        "`throttle to 30 %`",
        "`INC-2026-002`, 88 % alike",
        "dec_1 · 2026-01-01T00:00:00Z · decided in 245 ms",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn hostile_text_notifies_nobody_and_breaks_no_limit() {
    let folder = tempfile::tempdir().unwrap();
    let (url, requests) = stub();
    let mut slack = slack(folder.path(), &url);
    let mut resolved = of_alert(2, &hostile_alert(2));
    resolved.told = Told::Resolved;
    let text = serde_json::to_string(&HOSTILE.repeat(400)).unwrap();
    let notes = [
        of_alert(1, &hostile_alert(1)),
        resolved,
        message(3, Told::System, "", &format!("{{\"message\":{text}}}")),
        message(4, Told::System, "", "not JSON <!here>"),
        message(
            5,
            Told::Decision,
            HOSTILE,
            &format!("{{\"error_type\":{text},\"symptom\":{text},\"recommended_action\":{text}}}"),
        ),
        message(6, Told::Raised, "x", "{\"severity\":7,\"confidence\":\"high\",\"source_port\":-1}"),
    ];
    for note in &notes {
        assert_eq!(slack.one(note, LONG), Outcome::Delivered, "{:?}", note.told);
    }
    let many: Vec<Message> = (0..60).map(|n| of_alert(n.into(), &hostile_alert(n))).collect();
    assert_eq!(slack.summary(&Summary::of(&many), LONG), Outcome::Delivered);
    for _note in 0..=notes.len() {
        let body = requests.recv().unwrap().body;
        let json: Value = serde_json::from_str(&body).unwrap();
        let blocks = json["blocks"].as_array().unwrap();
        let texts = blocks.iter().flat_map(|block| {
            let fields = block["fields"].as_array().into_iter().flatten().map(|field| &field["text"]);
            fields.chain([&block["text"]["text"]]).filter_map(Value::as_str)
        });
        for styled in texts
            .filter(|text| ["*Source*", "*Destination*", "*Recom"].iter().any(|head| text.starts_with(head)))
        {
            assert_eq!(styled.matches('`').count(), 2, "code style was ended: {styled}");
        }
        assert!(!body.contains('\u{1b}') && !body.contains('\u{202e}'));
    }
    // Cutting never leaves half an escape.
    assert_eq!(escaped("a&&&&", 10), "a&amp;…");
    assert_eq!(escaped("abc", 10), "abc");
    assert_eq!(code("a`b`", 100), "`a'b'`");
}

#[test]
fn what_slack_answers_and_what_becomes_of_it() {
    let folder = tempfile::tempdir().unwrap();
    for (answer, expected) in [
        (
            "429 Too Many Requests\nretry-after: 30",
            Outcome::Retry { error: "answered 429".to_owned(), after: Some(Duration::from_secs(30)) },
        ),
        (
            "400 Bad Request\n\ninvalid_blocks",
            Outcome::Refused { error: "answered 400: invalid_blocks".to_owned() },
        ),
        (
            "410 Gone\n\nchannel_is_archived",
            Outcome::Refused { error: "answered 410: channel_is_archived".to_owned() },
        ),
    ] {
        let (url, _requests) = server(move |_| answer.to_owned());
        assert_eq!(
            slack(folder.path(), &format!("{url}/hunter2")).one(&of_alert(1, &alert(1)), LONG),
            expected
        );
    }
    for url in [
        "http://169.254.169.254/hunter2",
        "http://hooks.example/hunter2",
        "hunter2",
        "https://169.254.169.254/hunter2",
    ] {
        let outcome = slack(folder.path(), url).one(&of_alert(1, &alert(1)), LONG);
        assert!(
            matches!(&outcome, Outcome::Retry { error, .. } if !error.contains("hunter2")),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_storm_keeps_to_one_message_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let (url, requests) = stub();
    let mut paced = Paced::new(slack(folder.path(), &url), Duration::from_secs(1), 0);
    let storm: Vec<Message> = (0..1000).map(|n| of_alert(n.into(), &alert(n))).collect();
    let begin = super::super::clock();
    let mut next = 0;
    while next < storm.len() {
        let outcomes = paced.deliver(&storm[next..storm.len().min(next + 400)], LONG);
        match &outcomes[0] {
            Outcome::Delivered => next += outcomes.len(),
            Outcome::Wait { after } => std::thread::sleep(*after),
            other => panic!("{other:?}"),
        }
    }
    assert!(super::super::clock() - begin >= Duration::from_secs(2));
    let texts: Vec<String> = requests
        .try_iter()
        .map(|request| {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            body["text"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(
        texts,
        [400, 400, 200].map(|count| format!(":red_circle: {count} alerts: {count} PortScan on box-1"))
    );
}
