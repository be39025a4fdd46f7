import { byId, percent, showScores, text } from "./parts.js";

// What the server calls an answer and a source, in words for people.
const SOURCE = {
  opening: ["", "Opening"],
  open: ["good", "Connected"],
  ended: ["", "Ended"],
  lost: ["bad", "Lost"],
  stalled: ["bad", "Stalled"],
};
const WAITING = { none: "Waiting for the first answer", undecided: "Undecided", unknown: "unknown" };

const viewer = Math.random().toString(36).slice(2);
const picture = byId("picture"), frame = byId("frame"), nothing = byId("nothing"), still = byId("still");

let paused = false, heatmap = false;
let facts = null, factsTimer = null, heard = 0;
let pictureTimer = null, pictureSince = 0, pictureFlows = false, patience = 1000;
let source = "opening", model = null;

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const whole = Math.floor(seconds), two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600) % 24, days = Math.floor(whole / 86400);
  const clock = `${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  return (days ? `${days} d ` : "") + (days || hours ? `${two(hours)}:${clock}` : clock);
}

// The picture: a stream that the server sends and a browser does not open again by itself.

function startPicture() {
  clearTimeout(pictureTimer);
  pictureTimer = null;
  if (paused || document.hidden) return;
  pictureSince = Date.now();
  pictureFlows = false;
  picture.src = `picture.mjpg?viewer=${viewer}&heatmap=${heatmap ? 1 : 0}&at=${pictureSince}`;
}

function stopPicture() {
  // What was seen last stays in sight; without its source the picture itself would be gone.
  if (picture.naturalWidth > 0 && !picture.hidden) {
    still.width = picture.naturalWidth;
    still.height = picture.naturalHeight;
    still.getContext("2d").drawImage(picture, 0, 0);
    still.hidden = false;
    picture.hidden = true;
  }
  clearTimeout(pictureTimer);
  pictureTimer = null;
  picture.removeAttribute("src"); // closes the connection
}

function retryPicture() {
  if (pictureTimer !== null || paused || document.hidden) return;
  pictureTimer = setTimeout(startPicture, patience);
  patience = Math.min(patience * 2, 10000);
}

picture.addEventListener("load", () => {
  patience = 1000;
  picture.hidden = false;
  still.hidden = true;
  showFrame();
});
picture.addEventListener("error", () => {
  if (picture.hasAttribute("src")) retryPicture();
});

function showFrame() {
  const live = facts !== null && heard > 0 && (source === "open" || source === "ended");
  frame.classList.toggle("stale", !live && !paused);
  frame.classList.toggle("paused", paused);
  let why = "";
  if (paused) why = "Paused";
  else if (!live) why = heard > 0 ? SOURCE[source]?.[1] ?? source : "Connecting";
  else if (picture.hidden && still.hidden) why = "No picture yet";
  nothing.hidden = !why;
  text(nothing, why);
}

// The facts: server-sent events, opened again by us, since a browser gives up after an error status.

function startFacts() {
  clearTimeout(factsTimer);
  if (facts !== null) facts.close();
  if (paused || document.hidden) return;
  facts = new EventSource(`events?viewer=${viewer}`);
  facts.addEventListener("history", (event) => showHistory(JSON.parse(event.data)));
  facts.addEventListener("happened", (event) => addToHistory([JSON.parse(event.data)]));
  facts.addEventListener("state", (event) => showState(JSON.parse(event.data)));
  facts.addEventListener("picture", (event) => { pictureFlows = JSON.parse(event.data); });
  facts.addEventListener("open", () => {
    if (heard === 0) startPicture();
    heard = Date.now();
  });
  facts.addEventListener("error", () => {
    heard = 0;
    link("bad", "No connection to the stream", "Trying again.");
    showFrame();
    if (facts.readyState === EventSource.CLOSED) {
      tellWhy();
      factsTimer = setTimeout(startFacts, 3000);
    }
  });
}

function stopFacts() {
  clearTimeout(factsTimer);
  if (facts !== null) facts.close();
  facts = null;
  heard = 0;
}

async function tellWhy() {
  try {
    const answer = await fetch("state", { cache: "no-store" });
    if (answer.status === 401) link("bad", "Not let in", "The token has changed: open the address with the new one.");
    else if (answer.ok) link("bad", "Too many viewers", "Trying again.");
  } catch { /* said already */ }
}

// A sleeping laptop or a lost network ends connections without a word.
setInterval(() => {
  if (paused || document.hidden) return;
  if (heard > 0 && Date.now() - heard > 8000) {
    heard = 0;
    startFacts();
    link("bad", "No connection to the stream", "Trying again.");
    showFrame();
  } else if (heard > 0 && !pictureFlows && Date.now() - pictureSince > 4000) {
    startPicture();
  }
}, 1000);

function link(kind, what, more) {
  byId("link").className = kind;
  text(byId("link-text"), what);
  text(byId("link-more"), more);
  text(byId("link-why"), "");
}

function showState(now) {
  heard = Date.now();
  source = now.source.state;
  if (model !== now.model || byId("source").textContent !== now.source.name) {
    model = now.model;
    text(byId("source"), now.source.name);
    text(byId("model"), now.model);
    document.title = `${now.source.name} – preview`;
  }
  const [kind, words] = SOURCE[source] ?? ["bad", source];
  const since = now.source.seconds === null ? "" : `for ${duration(now.source.seconds)}`;
  const silent = now.frame_seconds !== null && now.frame_seconds > 2
    ? `, last frame ${duration(now.frame_seconds)} ago` : "";
  const again = now.source.retry_s === null || now.source.retry_s === undefined ? ""
    : `, opened again in ${Math.ceil(now.source.retry_s)} s (attempt ${now.source.attempt})`;
  link(kind, words, since + silent + again);
  text(byId("link-why"), now.source.reason ?? "");
  showLabel(now.label);
  showScores(byId("scores"), now.top);
  for (const place of document.querySelectorAll("[data-number]")) {
    const value = now.numbers[place.dataset.number];
    const digits = Number(place.dataset.digits ?? 0);
    const unit = place.dataset.unit ? ` ${place.dataset.unit}` : "";
    text(place, value === null || value === undefined ? "–" : value.toFixed(digits) + unit);
  }
  text(byId("uptime"), duration(now.numbers.uptime_s));
  text(byId("viewers"), String(now.viewers));
  showFrame();
}

function showLabel(label) {
  const words = label.state === "label" ? label.text : WAITING[label.state] ?? label.state;
  byId("label").className = label.state;
  text(byId("label"), words);
  const since = label.since ? `since ${new Date(label.since).toLocaleTimeString()}` : "";
  const score = label.score === null || label.state === "undecided" ? "" : percent(label.score);
  text(byId("label-more"), [score, since].filter(Boolean).join(", "));
}

function line(entry) {
  const item = document.createElement("li");
  item.dataset.place = entry.place;
  const parts = [["time", "", new Date(entry.time).toLocaleTimeString()], ["span", "kind", entry.kind]];
  const score = entry.score === null ? "" : ` ${percent(entry.score)}`;
  parts.push(["span", entry.unknown ? "what unknown" : "what", entry.text + score]);
  for (const [tag, name, content] of parts) {
    const part = document.createElement(tag);
    part.className = name;
    part.textContent = content;
    if (tag === "time") part.dateTime = entry.time;
    item.append(part);
  }
  return item;
}

function addToHistory(entries) {
  const list = byId("history");
  for (const entry of entries) {
    if (list.firstChild?.dataset.place === String(entry.place)) list.firstChild.remove();
    list.prepend(line(entry));
  }
  while (list.children.length > 50) list.lastChild.remove();
  byId("history-none").hidden = list.children.length > 0;
  list.hidden = list.children.length === 0;
}

function showHistory(entries) {
  byId("history").replaceChildren();
  addToHistory(entries);
}

byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  resume();
});

byId("heatmap").addEventListener("click", async () => {
  const button = byId("heatmap");
  if (!heatmap) {
    try {
      const answer = await (await fetch("heatmap", { cache: "no-store" })).json();
      if (!answer.possible) {
        button.disabled = true;
        text(byId("heatmap-why"), answer.why);
        return;
      }
    } catch {
      return;
    }
  }
  heatmap = !heatmap;
  button.setAttribute("aria-pressed", String(heatmap));
  startPicture();
});

// Nobody sees a hidden page, and a browser opens only six connections to a server for all its pages.
function resume() {
  if (paused || document.hidden) {
    stopFacts();
    stopPicture();
    if (paused) link("", "Paused", "");
    showFrame();
  } else {
    startFacts();
  }
}
document.addEventListener("visibilitychange", resume);
addToHistory([]);
resume();
