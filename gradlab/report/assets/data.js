// The data of the page: JSON whose large arrays are deflated byte planes in base64.

const PAGE = JSON.parse(byId("data").textContent);

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Three planes of bytes, the highest first, as integers. */
async function unpackInts(base64) {
  const inflated = new Blob([bytesOf(base64)])
    .stream()
    .pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(inflated).arrayBuffer());
  const size = planes.length / 3;
  const values = new Uint32Array(size);
  for (let i = 0; i < size; i++) {
    values[i] = (planes[i] << 16) | (planes[size + i] << 8) | planes[2 * size + i];
  }
  return values;
}

/** The same as the upper 24 bits of 32-bit floats. */
async function unpackFloats(base64) {
  const bits = await unpackInts(base64);
  for (let i = 0; i < bits.length; i++) bits[i] <<= 8;
  return new Float32Array(bits.buffer);
}

/** One run: where its tokens lie, and its numbers, unpacked when they are asked for. */
class Run {
  constructor(raw) {
    Object.assign(this, raw);
    this.count = raw.pairs.number.length;
    this.kept = new Map();
    const lengths = raw.pairs.lengths;
    let end = 0;
    this.starts = { chosen: [], rejected: [] };
    for (let pair = 0; pair < this.count; pair++) {
      for (const side of SIDES) {
        this.starts[side].push(end);
        end += lengths[side][pair];
      }
    }
    this.size = end;
  }

  /** Unpacks which text and which id each token has. */
  async open() {
    [this.which, this.ids] = await Promise.all([
      unpackInts(this.tokens.which),
      unpackInts(this.tokens.ids),
    ]);
  }

  /** [start, end) of a response among the tokens. */
  range(pair, side) {
    const start = this.starts[side][pair];
    return [start, start + this.pairs.lengths[side][pair]];
  }

  text(token) {
    return this.tokens.texts[this.which[token]];
  }

  responseText(pair, side) {
    const [start, end] = this.range(pair, side);
    let text = "";
    for (let token = start; token < end; token++) text += this.text(token);
    return text;
  }

  quantity(key) {
    return this.quantities.find((quantity) => quantity.key === key);
  }

  home(loss, key) {
    return this.quantity(key).each_loss ? this.losses[loss] : this.fixed;
  }

  /** Promise of a quantity of every token, then its sums over the responses. */
  values(loss, key) {
    const home = this.home(loss, key);
    const name = home === this.fixed ? key : `${loss} ${key}`;
    if (!this.kept.has(name)) this.kept.set(name, unpackFloats(home.blocks[key]));
    return this.kept.get(name);
  }

  /** Sum over a response, from what `values` gave. */
  sum(values, pair, side) {
    return values[this.size + SIDES.indexOf(side) * this.count + pair];
  }
}

const SIDES = ["chosen", "rejected"];
const RUNS = PAGE.runs.map((raw) => new Run(raw));
