/* dsvl2: the engines that elements of a process share
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Elements that ask for the same model with the same options get the same engine. An id keeps engines of
 * one model apart, and what names it must agree on the options. An engine is opened by the first that
 * asks for it, while others wait, and is closed with the last that gives it back. */
#ifndef DSVL2_ENGINEPOOL_H
#define DSVL2_ENGINEPOOL_H

#include "dsvl2.h"

/* engine_pool_take: the engine of the model in folder `model`; id may be NULL. Give it back with
 * engine_pool_give_back (). From any thread.
 * Errors: those of dsvl2_model_open () and dsvl2_engine_open (), and OPTION for an id whose engine runs
 * with other options. */
Dsvl2Engine *engine_pool_take (const char *model, const char *id, const Dsvl2EngineOptions *options,
    GError **error);
/* The last one ends what the engine is doing. Not from a callback of the engine. */
void engine_pool_give_back (Dsvl2Engine *engine);

#endif
