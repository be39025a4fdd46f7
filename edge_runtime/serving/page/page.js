import * as answers from "./answer.js";
import * as api from "./api.js";
import * as cards from "./card.js";
import * as heat from "./heat.js";
import * as history from "./history.js";
import * as intake from "./intake.js";
import { byId, element, text } from "./parts.js";
import { impossible, Webcam } from "./webcam.js";

/** How often a busy server is asked again, and the pixels of a smaller copy. */
const PATIENCE = 5, SMALLER = 2048;

/** Of the photo itself: asked again, the server says the same. */
const FINAL = [401, 413, 415, 422];

const photo = byId("photo"), video = byId("video"), canvas = byId("heat"), invite = byId("invite");
let card = null, current = null, working = false, warm = false, again = null, drawing = 0, spoken = "", spokenAt = 0, mentioned = false;

const wishes = (heatmap) => ({
  top_k: byId("top-k").value,
  ...(card ? { model: card.name } : {}),
  ...(heatmap ? { heatmap: "map" } : {}),
});

/** Hides what may hold the focus, which would fall back to the page's beginning (WCAG 2.4.3). */
function hide(node, hidden = true) {
  if (hidden && node.contains(document.activeElement)) byId("answer").focus();
  node.hidden = hidden;
}

function say(words) { text(byId("said"), words); }

function complain(message, error = null, retry = null) {
  text(byId("trouble-text"), message);
  byId("trouble").hidden = false;
  hide(byId("token-form"), error?.status !== 401);
  hide(byId("smaller"), !(error?.status === 413 && current && !current.note));
  again = retry;
  mentioned = false;
  hide(byId("again"), retry === null || FINAL.includes(error?.status));
  if (error?.status === 401) byId("token").focus();
}

function calm() {
  hide(byId("trouble"));
  again = null;
  mentioned = false;
}

/** What an answer that comes does not make untrue: it stays. */
function mention(message) {
  complain(message);
  mentioned = true;
}

function heatPossible() {
  const no = card && !card.heatmap ? card.no_heatmap ?? "This model gives no heat map." : "";
  byId("heatmap").disabled = Boolean(no);
  text(byId("heatmap-why"), no);
  if (no) warm = false;
  byId("heatmap").setAttribute("aria-pressed", String(warm));
  byId("opacity").disabled = !warm;
  return !no;
}

function hideHeat() {
  drawing += 1; // nor what is being decoded
  canvas.hidden = true;
}

async function showHeat(map, width, height) {
  if (!warm || !map || !width) {
    hideHeat();
    return;
  }
  drawing += 1;
  const mine = drawing;
  if (!await heat.draw(canvas, map, width, height, () => mine === drawing)) return;
  canvas.hidden = false;
  canvas.style.opacity = byId("opacity").value / 100;
}

// One photo.

function show(entry) {
  current = entry;
  calm();
  webcam.stop();
  showWebcam();
  photo.src = entry.url;
  photo.alt = `Photo ${entry.name}`;
  photo.hidden = entry.size === null;
  video.hidden = true;
  invite.className = "note";
  invite.hidden = entry.size !== null;
  text(invite, "This browser cannot show this picture.");
  hideHeat();
  update(entry);
  history.show(current, show);
}

function update(entry) {
  if (entry !== current) return;
  const of = [entry.name, entry.note].filter(Boolean).join(", ");
  if (entry.answer) {
    answers.show(entry.answer, entry.threshold, of);
    showHeat(entry.answer.heatmap, entry.size?.width, entry.size?.height);
    const stale = entry.asked !== JSON.stringify(wishes(false)) || (warm && !entry.warm);
    if (stale && entry.state === "done") queue(entry);
  } else if (entry.error) {
    answers.showNone("No answer", of);
    complain(entry.error.message, entry.error, () => queue(entry));
    if (entry.asked !== JSON.stringify(wishes(false))) queue(entry); // another model may take it
  } else {
    answers.showNone(entry.state === "asking" ? "Asking the model" : "Waiting", of);
  }
}

function queue(entry) {
  entry.error = null;
  entry.state = "waiting";
  history.show(current, show);
  work();
}

async function ask(entry) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await api.classify(entry.blob, entry.name, wishes(warm));
    } catch (error) {
      if (error.status !== 503 || attempt >= PATIENCE) throw error;
      const wait = Math.min(error.retry ?? attempt, 30);
      if (entry === current) complain(`${error.message} Asked again in ${wait} s.`, error);
      await new Promise((done) => { setTimeout(done, wait * 1000); });
      if (entry === current) calm();
    }
  }
}

async function work() {
  if (working) return;
  working = true;
  for (;;) {
    const open = history.entries.filter((one) => one.state === "waiting");
    const entry = open.includes(current) ? current : open.at(-1);
    if (!entry) break;
    entry.state = "asking";
    const asked = JSON.stringify(wishes(false)), threshold = cards.threshold(card), heated = warm;
    if (!entry.answer) update(entry);
    try {
      entry.answer = await ask(entry);
      entry.error = null;
      if (entry === current) {
        if (!mentioned) calm();
        say(answers.inWords(entry.answer));
      }
    } catch (error) {
      entry.error = error;
      entry.answer = null;
    }
    Object.assign(entry, { asked, threshold, warm: heated });
    if (entry.state === "asking") entry.state = "done";
    if (history.entries.includes(entry)) update(entry);
    history.show(current, show);
  }
  working = false;
}

async function take(files, leftOut) {
  calm();
  const made = files.map((file) => history.add(file, file.name || "pasted picture"));
  byId("history-none").textContent = "Kept in this page's memory only, and gone when it is closed.";
  await Promise.all(made.slice(0, 1).map(async (entry) => { entry.size = await history.look(entry); }));
  show(made[0]);
  if (leftOut) mention(leftOut);
  work();
  for (const entry of made.slice(1)) {
    entry.size = await history.look(entry);
    if (entry === current && !webcam.on && !mentioned) show(entry);
  }
}

// The webcam.

const webcam = new Webcam(
  video,
  (blob) => api.classify(blob, "webcam.jpg", wishes(warm)),
  (answer, numbers) => {
    byId("flow").hidden = false;
    if (answer === null) {
      text(byId("flow-text"), `The server is busy. Asked again in ${numbers.waiting} s.`);
      return;
    }
    const fps = numbers.fps === null ? "" : `${numbers.fps.toFixed(1)} a second, `;
    text(byId("flow-text"), `${fps}${numbers.latency.toFixed(0)} ms from picture to answer`);
    answers.show(answer, cards.threshold(card), "Webcam, pictures of 640 pixels at most");
    showHeat(answer.heatmap, video.videoWidth, video.videoHeight);
    const words = answers.nameOf(answer), now = Date.now();
    if (words !== spoken && now - spokenAt > 2000) { // a flicker is not read out
      [spoken, spokenAt] = [words, now];
      say(answers.inWords(answer));
    }
  },
  (message, error = null) => {
    showWebcam();
    idle();
    complain(message, error, startWebcam);
  },
);

function showWebcam() {
  const on = webcam.on;
  byId("webcam").setAttribute("aria-pressed", String(on));
  text(byId("webcam"), on ? "Stop webcam" : "Webcam");
  hide(byId("keep"), !on);
  if (!on) {
    byId("flow").hidden = true;
    hide(byId("cameras"));
  }
}

function idle() {
  if (current) {
    show(current);
    return;
  }
  photo.hidden = video.hidden = true;
  hideHeat();
  invite.hidden = false;
  invite.className = "";
  invite.replaceChildren(
    element("strong", { textContent: "Drop photos here" }),
    " or paste one (Ctrl+V), choose them below, or start the webcam.",
  );
  answers.showNone("No photo yet");
}

async function startWebcam() {
  calm();
  const no = impossible();
  if (no) {
    complain(no);
    return;
  }
  try {
    await webcam.start(byId("camera").value);
  } catch (error) {
    byId("camera").replaceChildren(); // that one may be gone for good
    showWebcam();
    idle();
    complain(error.message, null, startWebcam);
    return;
  }
  if (!webcam.on) return;
  photo.hidden = invite.hidden = true;
  hideHeat();
  video.hidden = false;
  spoken = "";
  answers.showNone("Asking the model");
  showWebcam();
}

byId("webcam").addEventListener("click", () => {
  if (webcam.on) {
    webcam.stop();
    showWebcam();
    idle();
  } else startWebcam();
});
byId("camera").addEventListener("change", startWebcam);
byId("keep").addEventListener("click", async () => {
  const blob = await webcam.frame(Infinity);
  take([new File([blob], `webcam ${new Date().toLocaleTimeString()}.jpg`, { type: "image/jpeg" })]);
});

// Choices.

byId("heatmap").addEventListener("click", () => {
  warm = !warm;
  heatPossible();
  if (!warm) hideHeat();
  if (current && !webcam.on) update(current);
});
byId("opacity").addEventListener("input", () => { canvas.style.opacity = byId("opacity").value / 100; });
byId("top-k").addEventListener("change", () => { if (current && !webcam.on) update(current); });
byId("model").addEventListener("change", () => choose(byId("model").value));
byId("about").addEventListener("click", () => cards.open(card));
byId("card-close").addEventListener("click", () => byId("card").close());
byId("card").addEventListener("click", (event) => { if (event.target === byId("card")) byId("card").close(); });
byId("clear").addEventListener("click", () => {
  history.clear();
  current = null;
  calm();
  history.show(null, show);
  if (!webcam.on) idle();
  say("The history is empty.");
  byId("choose").focus();
});

// Trouble.

byId("dismiss").addEventListener("click", calm);
byId("again").addEventListener("click", () => {
  const retry = again;
  calm();
  retry?.();
});
byId("smaller").addEventListener("click", async () => {
  const entry = current, copy = document.createElement("canvas");
  let blob = null;
  try {
    const bitmap = await createImageBitmap(entry.blob);
    const scale = Math.min(1, SMALLER / Math.max(bitmap.width, bitmap.height));
    copy.width = Math.max(1, Math.round(bitmap.width * scale));
    copy.height = Math.max(1, Math.round(bitmap.height * scale));
    copy.getContext("2d").drawImage(bitmap, 0, 0, copy.width, copy.height);
    blob = await new Promise((done) => { copy.toBlob(done, "image/jpeg", 0.92); });
  } catch { /* HEIC, in most browsers */ }
  if (blob === null) {
    if (entry === current) complain("This browser cannot read this picture, so there is no smaller copy of it. Make one with another program.");
    return;
  }
  entry.blob = blob;
  entry.note = `a copy of ${copy.width} × ${copy.height} pixels that the browser made`;
  calm();
  queue(entry);
});
byId("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const retry = again;
  try {
    await api.signIn(byId("token").value);
  } catch (error) {
    complain(error.message, error, retry);
    return;
  }
  byId("token").value = "";
  calm();
  if (!card) await begin();
  retry?.();
});

async function choose(name) {
  try {
    card = await api.card(name);
  } catch (error) {
    complain(error.message, error, () => choose(name));
    return;
  }
  cards.showShort(card);
  byId("about").disabled = false;
  heatPossible();
  if (current && !webcam.on) update(current);
}

async function begin() {
  try {
    const names = await api.models();
    byId("model").replaceChildren(...names.map((name) => element("option", { value: name, textContent: name })));
    byId("models").hidden = names.length < 2;
    if (names.length > 0) await choose(names[0]);
  } catch (error) {
    complain(error.message, error, begin);
  }
}

intake.listen(take, (message) => complain(message));
history.show(null, show);
begin();
