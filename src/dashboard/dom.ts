/** Elements without a framework. Text is only ever set as text, so no name can become markup. */

type Attributes = Readonly<Record<string, string | boolean | ((event: Event) => void)>>;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** A titled part of the page. `tools` stand at the right of the title. */
export function panel(name: string, title: string, ...tools: (Node | string)[]) {
  const heading = h('h2', { id: `${name}-title` }, title);
  const bar = h('div', { class: 'tools' }, ...tools);
  const body = h('div', { class: 'body' });
  const element = h(
    'section',
    { class: `panel ${name}`, 'aria-labelledby': heading.id },
    h('header', {}, heading, bar),
    body,
  );
  return { element, body, bar };
}

export function button(label: string, onClick: () => void, attributes: Attributes = {}) {
  return h('button', { type: 'button', onclick: onClick, ...attributes }, label);
}

/** Set the text only where it changed: an unchanged node costs no layout. */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

export function cssColor(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** `motor_imagery` -> `Motor imagery`, `rem` -> `REM`. */
export function humanName(name: string): string {
  if (/^(n[1-4]|rem|w|r)$/i.test(name)) return name.toUpperCase();
  const words = name.replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** `0:30`, `7:05`: hours and minutes. */
export function hoursText(seconds: number): string {
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, '0')}`;
}

/** `3:05`, `1:02:45`. */
export function clockText(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0
    ? `${hours}:${two(minutes)}:${two(whole % 60)}`
    : `${minutes}:${two(whole % 60)}`;
}
