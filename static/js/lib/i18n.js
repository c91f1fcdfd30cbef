// The words of the pages in the person's language. Django's catalogue is a script of its own that
// comes before the modules; a text that it does not have stays English, as everywhere in Django.

const catalogue = () => globalThis.django;

export const gettext = (text) => catalogue()?.gettext?.(text) ?? text;

export function ngettext(one, many, count) {
  const translate = catalogue()?.ngettext;
  if (translate) return translate(one, many, count);
  return count === 1 ? one : many;
}

/** Fills the places `%(name)s` of a text. */
export function interpolate(format, values) {
  return format.replace(/%\((\w+)\)s/g, (place, name) => String(values[name] ?? place));
}

/** `counted(3, "%(count)s vote", "%(count)s votes")`: both forms already translated by ngettext. */
export const counted = (text, count) => interpolate(text, { count });
