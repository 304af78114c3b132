/* dsvl2: properties of an element that are the fields of a structure
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A property's number says which field of the structure holds its value, so that setting, getting and
 * defaults need no code for each. Fields are char *, gboolean, gint (enumerations too), guint, guint64,
 * gfloat or gdouble, as the property's type is. */
#ifndef DSVL2_SETTINGS_H
#define DSVL2_SETTINGS_H

#include <glib-object.h>

/* The number of the property that is this field. */
#define SETTING(Type, field) (guint) (1 + G_STRUCT_OFFSET (Type, field))

/* settings_init: every field that is a writable property of the class itself gets its default. */
void settings_init (gpointer settings, GObjectClass *klass);

/* A field from or to a property's value; strings are copied. The caller's lock protects the structure. */
void settings_set (gpointer settings, guint id, const GValue *value);
void settings_get (gconstpointer settings, guint id, GValue *value);

#endif
