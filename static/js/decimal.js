// Exact arithmetic on the API's decimal strings: money is never a float.

function parse(text) {
  const [whole, fraction = ""] = text.split(".");
  return { units: BigInt(whole + fraction), places: fraction.length };
}

function spell(units, places) {
  const digits = (units < 0n ? -units : units).toString().padStart(places + 1, "0");
  const cut = digits.length - places;
  const fraction = digits.slice(cut).replace(/0+$/, "");
  const text = fraction ? `${digits.slice(0, cut)}.${fraction}` : digits.slice(0, cut);
  return units < 0n ? `-${text}` : text;
}

// Null stands for unknown, and what is reckoned from an unknown is unknown.
export function add(a, b) {
  if (a === null || b === null) return null;
  const [x, y] = [parse(a), parse(b)];
  const places = Math.max(x.places, y.places);
  const scaled = ({ units, places: own }) => units * 10n ** BigInt(places - own);
  return spell(scaled(x) + scaled(y), places);
}

export function negate(a) {
  if (a === null || sign(a) === "0") return a;
  return a.startsWith("-") ? a.slice(1) : `-${a}`;
}

export function multiply(a, b) {
  if (a === null || b === null) return null;
  const [x, y] = [parse(a), parse(b)];
  return spell(x.units * y.units, x.places + y.places);
}

export function absolute(a) {
  return a.replace("-", "");
}

export function sign(text) {
  if (text === null || text === "") return "";
  if (!/[1-9]/.test(text)) return "0";
  return text.startsWith("-") ? "-" : "+";
}
