// Shows /openapi.json. Text only ever becomes text: nothing of the description or of an answer is read as HTML.

const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
};

const named = (api, schema) => schema?.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema;

const typeOf = (schema) => {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const several = schema.oneOf ?? schema.anyOf ?? schema.allOf;
  if (several) return [...new Set(several.map(typeOf))].join(schema.allOf ? " & " : " | ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.items) return `${typeOf(schema.items)}[]`;
  const type = [schema.type].flat().join(" | ");
  return schema.format ? `${type} (${schema.format})` : type;
};

// All fields of a schema, those of its parts included.
const fields = (api, schema, depth = 0) => {
  const resolved = named(api, schema);
  if (!resolved || depth > 4) return [];
  const own = Object.entries(resolved.properties ?? {}).map(([name, value]) =>
    [name, value, (resolved.required ?? []).includes(name)]);
  return own.concat((resolved.allOf ?? []).flatMap((part) => fields(api, part, depth + 1)));
};

const table = (head, rows) => make("table", {},
  make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
  make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, cell ?? ""))))));

const schemaTable = (api, schema) => {
  const list = named(api, schema);
  const rows = fields(api, list?.items ?? schema).map(([name, value, required]) =>
    [make("code", {}, name + (required ? "" : "?")), make("code", {}, typeOf(value)), value.description ?? ""]);
  return rows.length ? table(["field", "type", ""], rows) : null;
};

const scopeOf = (operation) => {
  const need = operation.security?.[0]?.token;
  return need ? `scope ${need.join(", ")}` : "no token";
};

const attempt = (path, parameters) => {
  const inputs = parameters.map((parameter) => [parameter,
    make("input", { "aria-label": parameter.name, placeholder: parameter.name })]);
  const answer = make("div", { "aria-live": "polite" });
  const ask = async (event) => {
    event.preventDefault();
    const query = new URLSearchParams();
    let target = path;
    for (const [parameter, input] of inputs) {
      if (parameter.in === "path") target = target.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (input.value !== "" && parameter.in === "query") query.set(parameter.name, input.value);
    }
    const token = document.getElementById("token").value.trim();
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    try {
      const response = await fetch(query.size ? `${target}?${query}` : target, { headers });
      const text = await response.text();
      let shown = text;
      try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* it is no JSON */ }
      answer.replaceChildren(make("p", {}, `${response.status} ${response.statusText}`),
        make("pre", { tabindex: "0" }, shown.slice(0, 100000)));
    } catch (error) {
      answer.replaceChildren(make("p", {}, `The sensor cannot be reached: ${error.message}`));
    }
  };
  return make("form", { onsubmit: ask }, ...inputs.map(([, input]) => input), make("button", {}, "Try it"), answer);
};

const operationView = (api, path, method, operation) => {
  const parameters = operation.parameters ?? [];
  const body = operation.requestBody && Object.entries(operation.requestBody.content)[0];
  const parts = [make("p", {}, operation.description ?? "")];
  if (parameters.length) {
    parts.push(table(["parameter", "type", ""], parameters.map((parameter) =>
      [make("code", {}, `${parameter.name}${parameter.required ? "" : "?"}`), make("code", {}, typeOf(parameter.schema)),
        parameter.description ?? ""])));
  }
  if (body) parts.push(make("h3", {}, `Body: ${body[0]}`), schemaTable(api, body[1].schema));
  parts.push(table(["answer", "type", ""], Object.entries(operation.responses).map(([code, response]) =>
    [code, make("code", {}, Object.values(response.content ?? {}).map((one) => typeOf(one.schema)).join(" | ")),
      response.description])));
  const good = Object.entries(operation.responses).find(([code]) => code.startsWith("2"))?.[1];
  const shape = good && schemaTable(api, Object.values(good.content ?? {})[0]?.schema);
  if (shape) parts.push(make("h3", {}, "Answer"), shape);
  const live = Object.keys(good?.content ?? {}).includes("text/event-stream") || path.startsWith("/ws/");
  if (method === "get" && !live) parts.push(attempt(path, parameters));
  return make("details", {}, make("summary", {},
    make("span", { class: `method ${method}` }, method.toUpperCase()), make("code", {}, path),
    make("span", { class: "soft" }, operation.summary ?? ""),
    make("span", { class: "soft scope" }, scopeOf(operation))),
  make("div", { class: "body" }, ...parts));
};

const show = (api, words) => {
  const sections = (api.tags ?? []).map((tag) => {
    const views = [];
    for (const [path, item] of Object.entries(api.paths)) {
      for (const method of ["get", "post", "delete"]) {
        const operation = item[method];
        const text = `${path} ${operation?.summary ?? ""} ${operation?.description ?? ""}`.toLowerCase();
        if (operation?.tags?.includes(tag.name) && text.includes(words)) {
          views.push(operationView(api, path, method, operation));
        }
      }
    }
    return views.length ? make("section", {}, make("h2", {}, tag.description ?? tag.name), ...views) : null;
  });
  const found = sections.filter(Boolean);
  document.getElementById("paths").replaceChildren(...(found.length ? found : [make("p", {}, "Nothing has that word.")]));
};

const about = document.getElementById("about");
document.getElementById("access").addEventListener("submit", (event) => event.preventDefault());
try {
  const api = await (await fetch("/openapi.json")).json();
  about.textContent = `${api.info.description} Version ${api.info.version}.`;
  const find = document.getElementById("find");
  find.addEventListener("input", () => show(api, find.value.trim().toLowerCase()));
  show(api, "");
} catch (error) {
  about.textContent = `The description could not be read: ${error.message}`;
}
