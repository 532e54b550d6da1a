//! Passwords, hashed with argon2id on threads of their own so that nobody else waits for them.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use anser_core::ports::accounts::PasswordHash;
use anser_core::ports::random::Random;
use argon2::password_hash::phc;
use argon2::password_hash::{Error as HashError, PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::oneshot;

use super::error::AccessError;
use super::secret::Secret;

/// Threads that hash.
const THREADS: usize = 2;
/// Requests that may wait for them; at 20 ms each, the last one waits about as long as it is worth.
const WAITING: usize = 64;
const SALT_BYTES: usize = 16;

/// What one hash costs. Stored with every hash, so that it can be raised later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory of one hash, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Default for PasswordCost {
    /// 19 MiB and 2 passes on one lane: the second of the equal choices in OWASP's Password Storage
    /// Cheat Sheet.
    fn default() -> Self {
        PasswordCost { memory_kib: 19 * 1024, passes: 2 }
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// Hashes and checks passwords.
pub struct Passwords {
    argon2: Argon2<'static>,
    random: Arc<dyn Random>,
    /// What the password of somebody who does not exist is checked against, in the same time.
    nobody: PasswordHash,
    jobs: SyncSender<Job>,
}

impl Passwords {
    /// Starts the threads; they end with this value, after what is under way.
    pub fn new(cost: PasswordCost, random: Arc<dyn Random>) -> Result<Self, BadPasswordCost> {
        const LANES: u32 = 1;
        let params = Params::new(cost.memory_kib, cost.passes, LANES, None)
            .map_err(|error| BadPasswordCost(error.to_string()))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = hash(&argon2, "nobody has this password", salt(&*random))
            .map_err(|error| BadPasswordCost(error.to_string()))?;
        let (jobs, queue) = sync_channel(WAITING);
        let queue = Arc::new(Mutex::new(queue));
        for number in 1..=THREADS {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name(format!("password {number}"))
                .spawn(move || work(&queue))
                .map_err(|error| BadPasswordCost(format!("no thread could be started: {error}")))?;
        }
        Ok(Passwords { argon2, random, nobody, jobs })
    }

    /// Hashes a password that was chosen.
    pub async fn hash(&self, password: Secret) -> Result<PasswordHash, AccessError> {
        let (argon2, salt) = (self.argon2.clone(), salt(&*self.random));
        self.run(move || hash(&argon2, password.expose(), salt)).await?.map_err(|error| {
            tracing::error!(%error, "a password could not be hashed");
            AccessError::Internal
        })
    }

    /// Whether it is the password behind the hash. Takes as long where there is no hash, as for a
    /// person who does not exist, and is false then.
    pub async fn verify(&self, password: Secret, stored: Option<PasswordHash>) -> Result<bool, AccessError> {
        let argon2 = self.argon2.clone();
        let exists = stored.is_some();
        let against = stored.unwrap_or_else(|| self.nobody.clone());
        let checked = self
            .run(move || argon2.verify_password(password.expose().as_bytes(), against.0.as_str()))
            .await?;
        match checked {
            Ok(()) => Ok(exists),
            Err(HashError::PasswordInvalid) => Ok(false),
            Err(error) => {
                tracing::error!(%error, "a stored password hash could not be read");
                Err(AccessError::Internal)
            }
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AccessError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Nobody waits any more: spare the work.
            if !answer.is_closed() {
                drop(answer.send(job()));
            }
        });
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => AccessError::Overloaded,
            TrySendError::Disconnected(_) => AccessError::Internal,
        })?;
        answered.await.map_err(|_| AccessError::Internal)
    }
}

/// Memory of the dearest hash that is taken from elsewhere, in KiB; passes over it; lanes.
const FOREIGN_COST_MAX: (u32, u32, u32) = (64 * 1024, 10, 8);
/// Characters of the longest hash that is taken from elsewhere.
const FOREIGN_CHARS_MAX: usize = 512;

/// A hash that was made elsewhere, if a password can be checked against it here, at a bearable cost.
pub fn foreign_hash(text: &Secret) -> Result<PasswordHash, AccessError> {
    let bad = |what: &str| AccessError::bad("password_hash", what);
    let form = "is no argon2id hash in the PHC form: $argon2id$v=19$m=…,t=…,p=…$salt$hash";
    if text.expose().len() > FOREIGN_CHARS_MAX {
        return Err(bad("is longer than any hash"));
    }
    let parsed = phc::PasswordHash::new(text.expose()).map_err(|_| bad(form))?;
    let complete = parsed.salt.is_some() && parsed.hash.is_some_and(|hash| hash.len() >= 16);
    if parsed.algorithm.as_str() != "argon2id" || parsed.version != Some(0x13) || !complete {
        return Err(bad(form));
    }
    let params = Params::try_from(&parsed).map_err(|_| bad(form))?;
    let (memory_kib, passes, lanes) = FOREIGN_COST_MAX;
    if params.m_cost() > memory_kib || params.t_cost() > passes || params.p_cost() > lanes {
        let what = format!("costs too much: at most m={memory_kib},t={passes},p={lanes} are allowed");
        return Err(bad(&what));
    }
    Ok(PasswordHash(text.expose().to_owned()))
}

/// The cost cannot be paid on this machine, or is none that argon2id allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("passwords cannot be hashed at this cost: {0}")]
pub struct BadPasswordCost(String);

fn salt(random: &dyn Random) -> [u8; SALT_BYTES] {
    let mut salt = [0; SALT_BYTES];
    random.fill(&mut salt);
    salt
}

fn hash(argon2: &Argon2<'_>, password: &str, salt: [u8; SALT_BYTES]) -> Result<PasswordHash, HashError> {
    let hash = argon2.hash_password_with_salt(password.as_bytes(), &salt)?;
    Ok(PasswordHash(hash.to_string()))
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::testing::{CHEAP, SeededRandom};

    #[tokio::test]
    async fn a_password_is_the_one_behind_its_hash() {
        let passwords = Passwords::new(CHEAP, Arc::new(SeededRandom::new(1))).unwrap();
        let first = passwords.hash(Secret::new("correct horse")).await.unwrap();
        let second = passwords.hash(Secret::new("correct horse")).await.unwrap();
        assert_ne!(first, second, "each with its own salt");
        assert!(first.0.starts_with("$argon2id$v=19$"), "{}", first.0);
        assert_eq!(passwords.verify(Secret::new("correct horse"), Some(first.clone())).await, Ok(true));
        assert_eq!(passwords.verify(Secret::new("wrong horse"), Some(first)).await, Ok(false));
        assert_eq!(passwords.verify(Secret::new("nobody has this password"), None).await, Ok(false));
        let damaged = Some(PasswordHash("$argon2id$".into()));
        assert_eq!(passwords.verify(Secret::new("x"), damaged).await, Err(AccessError::Internal));
    }

    #[tokio::test]
    async fn hashes_of_another_cost_go_on_working() {
        let cheap = Passwords::new(CHEAP, Arc::new(SeededRandom::new(1))).unwrap();
        let dear = PasswordCost { memory_kib: 64, passes: 3 };
        let dear = Passwords::new(dear, Arc::new(SeededRandom::new(1))).unwrap();
        let hash = cheap.hash(Secret::new("correct horse")).await.unwrap();
        assert_eq!(dear.verify(Secret::new("correct horse"), Some(hash)).await, Ok(true));
    }

    #[tokio::test]
    async fn hashes_from_elsewhere_are_looked_at() {
        let passwords = Passwords::new(CHEAP, Arc::new(SeededRandom::new(1))).unwrap();
        let PasswordHash(good) = passwords.hash(Secret::new("correct horse")).await.unwrap();
        assert_eq!(foreign_hash(&Secret::new(good.clone())), Ok(PasswordHash(good.clone())));
        let (head, tail) = good.rsplit_once('$').unwrap();
        for bad in [
            "",
            "correct horse",
            "$2b$12$abcdefghijklmnopqrstuv",
            head,
            &format!("{head}${}", &tail[..8]),
            &good.replace("argon2id", "argon2i"),
            &good.replace("v=19", "v=16"),
            &good.replace("m=8", "m=4000000"),
            &good.replace("t=1", "t=1000"),
            &good.replace("p=1", "p=0"),
            &format!("{good}{}", "A".repeat(600)),
        ] {
            let refused = foreign_hash(&Secret::new(bad)).unwrap_err();
            assert!(matches!(refused, AccessError::BadValue { field: "password_hash", .. }), "{bad}");
            assert!(!refused.to_string().contains(tail), "an error shows no hash");
        }
    }

    #[test]
    fn an_impossible_cost_is_named() {
        let cost = PasswordCost { memory_kib: 1, passes: 0 };
        assert!(Passwords::new(cost, Arc::new(SeededRandom::new(1))).is_err());
    }
}
