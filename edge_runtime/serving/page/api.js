// What the server is asked, and what its refusals mean to a person.

export class Refused extends Error {
  constructor(message, status, retry) {
    super(message);
    this.status = status;
    this.retry = retry;
  }
}

const HELP = {
  401: "The server asks for its token.",
  413: "This photo is larger than the server takes.",
  415: "The server does not take this kind of file. Choose a JPEG, PNG or WebP picture.",
  422: "The server could not use this photo.",
  429: "The server is asked too often. Wait a little.",
  500: "The server failed at this photo. Its log says why.",
  502: "The proxy does not reach the server. Is it running?",
  503: "The server is busy.",
  504: "The proxy waited for the server in vain.",
};

async function ask(address, options) {
  let response;
  try {
    response = await fetch(address, { cache: "no-store", ...options, headers: { accept: "application/json" } });
  } catch {
    throw new Refused("The server is not there. Is it running, and is this device on its network?", 0, null);
  }
  if (response.ok) {
    try {
      return await response.json();
    } catch {
      throw new Refused("The answer broke off, or was none of the server's. Try again.", 0, null);
    }
  }
  let detail = "";
  try {
    detail = String((await response.json()).detail ?? "");
  } catch { /* a proxy's page, of no use to a person */ }
  const wait = Number.parseInt(response.headers.get("retry-after") ?? "", 10);
  const help = HELP[response.status] ?? `The server refused (${response.status}).`;
  const more = response.status === 401 ? "" : ` ${detail}`;
  throw new Refused((help + more).trim(), response.status, Number.isNaN(wait) ? null : wait);
}

export async function models() {
  return (await ask("v1/models")).models.map((entry) => entry.name);
}

export const card = (name) => ask(`v1/models/${encodeURIComponent(name)}`);

export async function classify(blob, name, wishes) {
  const form = new FormData();
  form.append("photo", blob, name);
  for (const [key, value] of Object.entries(wishes)) form.append(key, value);
  const answer = (await ask("v1/classify", { method: "POST", body: form })).results[0];
  if (answer.error) throw new Refused(answer.error, 422, null);
  return answer;
}

export async function signIn(token) {
  // Sets the cookie, and leaves this page with its photos as it is.
  const response = await fetch(`./?${new URLSearchParams({ token })}`, { cache: "no-store" });
  if (response.status === 401) throw new Refused("That was not the token. Try again.", 401, null);
  if (!response.ok) throw new Refused(`The server refused (${response.status}).`, response.status, null);
}
