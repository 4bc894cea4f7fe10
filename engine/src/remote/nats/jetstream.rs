//! JetStream: a stream that is a work queue, and a bucket of keys and values.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::connection::{Connection, Message};
use super::{Address, NatsError};

/// Longest time for an answer. What takes longer goes over a new connection.
const ANSWER: Duration = Duration::from_secs(5);
/// The first and the longest wait before a new connection.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How soon an interruption is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// "wrong last sequence", "no message found", "stream not found" and "consumer not found" of JetStream's errors.
const WRONG_SEQUENCE: u64 = 10_071;
const NO_MESSAGE: u64 = 10_037;
const NO_STREAM: u64 = 10_059;
const NO_CONSUMER: u64 = 10_014;
/// For how long a message that was published twice is known to be the same.
const DUPLICATES: Duration = Duration::from_secs(3600);

/// A client. What fails for a reason that may pass is done again, over a new connection, until `patience` is over.
pub struct JetStream {
    address: Address,
    name: String,
    connection: Option<Connection>,
    patience: Duration,
    opened: u64,
    stop: Box<dyn Fn() -> bool + Send>,
}

/// A message of a work queue, to be acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What it says.
    pub payload: Vec<u8>,
    /// How often it was delivered, this time included.
    pub count: u64,
    /// Its number in the stream.
    pub sequence: u64,
    reply: String,
}

/// A value of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Vec<u8>,
    /// Its revision: nobody has written the key since, as long as it is this.
    pub revision: u64,
}

impl JetStream {
    /// A client; nothing is sent. `name` tells it from all others.
    pub fn new(
        address: Address,
        name: &str,
        patience: Duration,
        stop: impl Fn() -> bool + Send + 'static,
    ) -> Self {
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        Self { address, name, connection: None, patience, opened: 0, stop: Box::new(stop) }
    }

    /// Makes a work queue of these subjects, and its one durable consumer; if it is there, nothing changes. A message that
    /// nobody has acknowledged for `ack_wait` is delivered again.
    pub fn make_queue(
        &mut self,
        stream: &str,
        subjects: &[&str],
        ack_wait: Duration,
    ) -> Result<(), NatsError> {
        let config = json!({
            "name": stream, "subjects": subjects, "retention": "workqueue", "storage": "file", "discard": "old",
            "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 0, "num_replicas": 1,
            "duplicate_window": nanos(DUPLICATES),
        });
        self.api(&format!("STREAM.CREATE.{stream}"), &config)?;
        let config = json!({"stream_name": stream, "config": {
            "durable_name": CONSUMER, "ack_policy": "explicit", "deliver_policy": "all", "replay_policy": "instant",
            "ack_wait": nanos(ack_wait), "max_deliver": -1, "max_ack_pending": 10_000, "filter_subject": subjects.first(),
        }});
        self.api(&format!("CONSUMER.DURABLE.CREATE.{stream}.{CONSUMER}"), &config).map(drop)
    }

    /// Makes a bucket; if it is there, nothing changes.
    pub fn make_bucket(&mut self, bucket: &str) -> Result<(), NatsError> {
        let config = json!({
            "name": format!("KV_{bucket}"), "subjects": [format!("$KV.{bucket}.>")], "retention": "limits",
            "storage": "file", "discard": "new", "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 0,
            "max_msgs_per_subject": 1, "num_replicas": 1, "allow_rollup_hdrs": true, "deny_delete": true,
            "duplicate_window": nanos(Duration::from_secs(120)),
        });
        self.api(&format!("STREAM.CREATE.KV_{bucket}"), &config).map(drop)
    }

    /// Messages of a queue that are not done with, by its consumer: a server that was killed may keep some in the stream that
    /// were. `None` if there is no such queue.
    pub fn outstanding(&mut self, stream: &str) -> Result<Option<u64>, NatsError> {
        let info = match self.api(&format!("CONSUMER.INFO.{stream}.{CONSUMER}"), &json!({})) {
            Err(NatsError::Api { code: NO_STREAM | NO_CONSUMER, .. }) => return Ok(None),
            info => info?,
        };
        let count = |name: &str| info[name].as_u64().unwrap_or(0);
        Ok(Some(count("num_pending") + count("num_ack_pending")))
    }

    /// Puts a message into a stream. The same `id` again, within an hour, is the same message.
    pub fn publish(&mut self, subject: &str, id: &str, payload: &[u8]) -> Result<(), NatsError> {
        self.stored(subject, &[("Nats-Msg-Id", id)], payload).map(drop)
    }

    /// The next message of a queue, if one comes in time.
    pub fn next(&mut self, stream: &str, wait: Duration) -> Result<Option<Delivery>, NatsError> {
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{CONSUMER}");
        let ask = json!({"batch": 1, "expires": nanos(wait)}).to_string();
        let message = self.request(&subject, &[], ask.as_bytes(), wait + ANSWER)?;
        match message.status {
            // No message, or none in time; a server that is going down says 409.
            Some(404 | 408 | 409) => Ok(None),
            _ => delivery(message).map(Some).ok_or_else(|| NatsError::Protocol {
                address: self.address.to_string(),
                reason: "a message that can't be acknowledged".to_owned(),
            }),
        }
    }

    /// A message is done with. Once this returns, it is not delivered again.
    pub fn ack(&mut self, delivery: &Delivery) -> Result<(), NatsError> {
        self.request(&delivery.reply, &[], b"+ACK", ANSWER).map(drop)
    }

    /// A message is still worked on: it is not delivered to others meanwhile. Told once, over the connection there is.
    pub fn in_progress(&mut self, delivery: &Delivery) -> Result<(), NatsError> {
        self.request(&delivery.reply, &[], b"+WPI", ANSWER).map(drop)
    }

    /// A message is for another time.
    pub fn put_off(&mut self, delivery: &Delivery, delay: Duration) -> Result<(), NatsError> {
        let text = format!("-NAK {}", json!({"delay": nanos(delay)}));
        self.request(&delivery.reply, &[], text.as_bytes(), ANSWER).map(drop)
    }

    /// The value of a key.
    pub fn get(&mut self, bucket: &str, key: &str) -> Result<Option<Entry>, NatsError> {
        let ask = json!({"last_by_subj": format!("$KV.{bucket}.{key}")});
        let found = match self.api(&format!("STREAM.MSG.GET.KV_{bucket}"), &ask) {
            Err(NatsError::Api { code: NO_MESSAGE | NO_STREAM, .. }) => return Ok(None),
            found => found?,
        };
        let message = &found["message"];
        let value = STANDARD.decode(message["data"].as_str().unwrap_or_default()).ok();
        match (value, message["seq"].as_u64()) {
            (Some(value), Some(revision)) => Ok(Some(Entry { value, revision })),
            _ => Err(NatsError::Protocol {
                address: self.address.to_string(),
                reason: format!("no value of {key}"),
            }),
        }
    }

    /// Sets the value of a key.
    pub fn put(&mut self, bucket: &str, key: &str, value: &[u8]) -> Result<u64, NatsError> {
        self.stored(&format!("$KV.{bucket}.{key}"), &[], value)
    }

    /// Sets the value of a key that nobody has written since `revision`; 0 is a key that is not there.
    pub fn update(&mut self, bucket: &str, key: &str, value: &[u8], revision: u64) -> Result<u64, NatsError> {
        let revision = revision.to_string();
        let headers = [("Nats-Expected-Last-Subject-Sequence", revision.as_str())];
        self.stored(&format!("$KV.{bucket}.{key}"), &headers, value).map_err(|e| match e {
            NatsError::Api { code: WRONG_SEQUENCE, .. } => NatsError::Conflict { key: key.to_owned() },
            e => e,
        })
    }

    /// Publishes into a stream; the number of the message there.
    fn stored(&mut self, subject: &str, headers: &[(&str, &str)], payload: &[u8]) -> Result<u64, NatsError> {
        let answer = self.request(subject, headers, payload, ANSWER)?;
        let value = self.answered(subject, &answer)?;
        Ok(value["seq"].as_u64().unwrap_or(0))
    }

    fn api(&mut self, subject: &str, ask: &Value) -> Result<Value, NatsError> {
        let subject = format!("$JS.API.{subject}");
        let answer = self.request(&subject, &[], ask.to_string().as_bytes(), ANSWER)?;
        self.answered(&subject, &answer)
    }

    fn answered(&self, subject: &str, answer: &Message) -> Result<Value, NatsError> {
        let value: Value = serde_json::from_slice(&answer.payload).map_err(|_| NatsError::Protocol {
            address: self.address.to_string(),
            reason: format!("no JSON in the answer to {subject}"),
        })?;
        match value.get("error") {
            None => Ok(value),
            Some(error) => Err(NatsError::Api {
                subject: subject.to_owned(),
                code: error["err_code"].as_u64().unwrap_or(0),
                description: error["description"].as_str().unwrap_or_default().chars().take(200).collect(),
            }),
        }
    }

    fn request(
        &mut self,
        subject: &str,
        headers: &[(&str, &str)],
        payload: &[u8],
        timeout: Duration,
    ) -> Result<Message, NatsError> {
        let (start, mut pause) = (Instant::now(), PAUSE.0);
        loop {
            if (self.stop)() {
                return Err(NatsError::Stopped);
            }
            let failed = match self.request_once(subject, headers, payload, timeout) {
                Ok(message) if message.status == Some(503) => {
                    return Err(NatsError::NoJetStream { address: self.address.to_string() });
                }
                Ok(message) => return Ok(message),
                Err(e) => e,
            };
            // Whatever it was, an answer to it must not be taken for one to the next.
            self.connection = None;
            if !failed.is_passing() || start.elapsed() >= self.patience {
                return Err(failed);
            }
            let until = Instant::now() + pause;
            while Instant::now() < until && !(self.stop)() {
                std::thread::sleep(LOOK.min(pause));
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    fn request_once(
        &mut self,
        subject: &str,
        headers: &[(&str, &str)],
        payload: &[u8],
        timeout: Duration,
    ) -> Result<Message, NatsError> {
        if self.connection.is_none() {
            self.opened += 1;
            let name = format!("{}x{}", self.name, self.opened);
            self.connection = Some(Connection::open(&self.address, &name)?);
        }
        let connection = self.connection.as_mut().expect("it was opened above");
        connection.request(subject, headers, payload, timeout)
    }
}

/// The one consumer of a queue.
const CONSUMER: &str = "workers";

/// `$JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.…`, or with domain and account behind ACK.
fn delivery(message: Message) -> Option<Delivery> {
    let reply = message.reply?;
    let words: Vec<&str> = reply.split('.').collect();
    let words = if words.len() >= 11 { &words[2..] } else { &words[..] };
    let (count, sequence) = (words.get(4)?.parse().ok()?, words.get(5)?.parse().ok()?);
    Some(Delivery { payload: message.payload, count, sequence, reply })
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_tell_how_often_and_which() {
        let message = |reply: &str| Message { reply: Some(reply.into()), status: None, payload: Vec::new() };
        for (reply, want) in [
            ("$JS.ACK.S.workers.3.17.20.1700000000.5", Some((3, 17))),
            ("$JS.ACK.domain.hash.S.workers.3.17.20.1700000000.5.x", Some((3, 17))),
            ("$JS.ACK.S.workers.x.17.20.17.5", None),
            ("short", None),
        ] {
            let found = delivery(message(reply)).map(|d| (d.count, d.sequence));
            assert_eq!(found, want, "{reply}");
        }
    }
}
