// The webcam: frames as JPEG to the server, one at a time, as fast as it answers.

import { byId, element } from "./parts.js";

/** Pixels of the longer side of a frame; networks look at fewer. */
const LONGEST = 640;
const WINDOW = 4000;

const WHY_NOT = {
  NotAllowedError: "The browser was not allowed to use the camera. Allow it beside the address, then start the webcam again.",
  NotFoundError: "No camera was found. Connect one, or choose a photo.",
  NotReadableError: "The camera is there but does not open: another program may use it.",
  OverconstrainedError: "That camera is gone. Choose another.",
};

export function impossible() {
  if (!window.isSecureContext) {
    return "Browsers give the webcam only to pages over HTTPS or on localhost. Start the server with "
      + "--tls-cert and --tls-key, or open it through an SSH tunnel as localhost. Photos work as they are.";
  }
  return navigator.mediaDevices?.getUserMedia ? "" : "This browser has no access to cameras. Photos work as they are.";
}

export class Webcam {
  #stream = null;
  #run = 0;
  #times = [];

  constructor(video, ask, shown, ended) {
    Object.assign(this, { video, ask, shown, ended });
    this.canvas = document.createElement("canvas");
  }

  get on() { return this.#stream !== null; }

  async start(device) {
    this.stop();
    const run = this.#run;
    const picture = { width: { ideal: 1280 }, height: { ideal: 720 } };
    Object.assign(picture, device ? { deviceId: { exact: device } } : { facingMode: "environment" });
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: picture, audio: false });
    } catch (error) {
      if (run !== this.#run) return;
      throw new Error(WHY_NOT[error.name] ?? `The camera does not open: ${error.message}`);
    }
    if (run !== this.#run) { // stopped while the browser asked
      stream.getTracks().forEach((track) => track.stop());
      return;
    }
    this.#stream = stream;
    this.#times = [];
    const track = stream.getVideoTracks()[0];
    track.addEventListener("ended", () => {
      if (run !== this.#run) return;
      this.stop();
      this.ended("The camera was taken away or switched off.");
    });
    this.video.srcObject = stream;
    try {
      await this.video.play();
      await this.#list(track.getSettings().deviceId);
    } catch (error) {
      if (run !== this.#run) return; // stopped, which is why it does not play
      this.stop(); // or the camera would stay lit
      throw new Error(`The picture of the camera does not play: ${error.message}`);
    }
    this.#loop(run);
  }

  stop() {
    this.#run += 1;
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    this.video.srcObject = null;
  }

  frame(longest = LONGEST) {
    const { videoWidth, videoHeight } = this.video, scale = Math.min(1, longest / Math.max(videoWidth, videoHeight));
    this.canvas.width = Math.max(1, Math.round(videoWidth * scale));
    this.canvas.height = Math.max(1, Math.round(videoHeight * scale));
    this.canvas.getContext("2d").drawImage(this.video, 0, 0, this.canvas.width, this.canvas.height);
    return new Promise((done) => { this.canvas.toBlob(done, "image/jpeg", 0.9); });
  }

  async #list(current) {
    const cameras = (await navigator.mediaDevices.enumerateDevices()).filter((d) => d.kind === "videoinput");
    byId("camera").replaceChildren(...cameras.map((camera, place) => element("option", {
      value: camera.deviceId, textContent: camera.label || `Camera ${place + 1}`, selected: camera.deviceId === current,
    })));
    byId("cameras").hidden = cameras.length < 2;
  }

  async #loop(run) {
    while (run === this.#run) {
      if (document.hidden || this.video.videoWidth === 0) {
        await new Promise((done) => { setTimeout(done, 200); });
        continue;
      }
      const start = performance.now();
      let wait = 0;
      try {
        const blob = await this.frame();
        const answer = await this.ask(blob);
        if (run !== this.#run) return;
        const now = performance.now();
        this.#times = [...this.#times, now].filter((time) => now - time < WINDOW);
        const span = now - this.#times[0];
        this.shown(answer, { latency: now - start, fps: span > 0 ? (this.#times.length - 1) / span * 1000 : null });
      } catch (error) {
        if (run !== this.#run) return;
        if (error.status !== 503) {
          this.stop();
          this.ended(error.message, error);
          return;
        }
        wait = (error.retry ?? 1) * 1000;
        this.shown(null, { waiting: wait / 1000 });
      }
      // A turn for what is drawn, also when the server answers at once.
      await new Promise((done) => { setTimeout(done, wait); });
    }
  }
}
